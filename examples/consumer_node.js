// Positions of a consumer group, set and read from Node.js through offsetd.
//
//     offsetd serve                                 # in another terminal
//     npm install @platformatic/kafka
//     node examples/consumer_node.js [HOST:PORT]
//
// It commits, reads back what is committed, then commits a lower offset: offsetd refuses, and the position stays.
// Nothing in here is special to offsetd.

const { randomUUID } = require('node:crypto')

const address = process.argv[2] ?? '127.0.0.1:9092'
// A group of its own for each run; yours has one name for good.
const groupId = `example-${randomUUID().slice(0, 8)}`

async function main() {
  // The package is an ES module.
  const { Admin } = await import('@platformatic/kafka')
  const admin = new Admin({ clientId: 'example', bootstrapBrokers: [address] })

  async function commit(offset) {
    const partitionOffsets = [{ partition: 0, offset }]
    await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: 'orders', partitionOffsets }] })
  }

  // -1: nothing is committed.
  async function committed() {
    const wanted = { groupId, topics: [{ name: 'orders', partitionIndexes: [0] }] }
    const [group] = await admin.listConsumerGroupOffsets({ groups: [wanted] })
    return group.topics[0].partitions[0].committedOffset
  }

  try {
    console.log(`group ${groupId} at ${address}`)
    console.log('  committed:', await committed())

    console.log('commit 100')
    await commit(100n)
    console.log('  committed:', await committed())

    console.log('commit 99: back')
    const refusal = await commit(99n).then(() => null, (error) => error)
    if (refusal === null) throw new Error('it was accepted: is the guard in mode reject?')
    const code = kafkaCode(refusal)
    console.log('  refused:', code)
    if (code !== 'POLICY_VIOLATION') throw refusal

    const position = await committed()
    console.log('  committed:', position)
    if (position !== 100n) throw new Error(`expected 100, not ${position}`)
  } finally {
    await admin.close()
  }
}

// The library wraps the broker's error in its own, one or more deep.
function kafkaCode(error) {
  if (error.apiId) return error.apiId
  const inner = [...(error.errors ?? []), error.cause].filter(Boolean)
  return inner.map(kafkaCode).find(Boolean)
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
