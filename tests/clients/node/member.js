// A member of a consumer group with kafkajs: the same program as ../python/member.py. kafkajs has no static membership.
//
// usage: member.js HOST:PORT GROUP TOPIC < commands
//
// MEMBER_ASSIGNOR=default: nothing is set that kafkajs has a default for, its own assignor included.

const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')
// From where setup.sh has put it: not beside the sources.
const { createRequire } = require('node:module')
const installed = createRequire(process.env.OFFSETD_NODE_MODULES + '/')
const { Kafka, AssignerProtocol, logLevel } = installed('kafkajs')

const [address, groupId, topic] = process.argv.slice(2)
const SESSION_MS = 30000
const HEARTBEAT_MS = 1000
// It does not heartbeat while it waits for a fetch, and so hears of a rebalance after that only.
const FETCH_WAIT_MS = 500

// It brings a round-robin under a name of its own only; this is the `range` of all others. Its encoders write version 0.
const range = ({ cluster }) => ({
  name: 'range',
  version: 0,
  async assign({ members, topics }) {
    const ids = members.map((member) => member.memberId).sort()
    const assignment = Object.fromEntries(ids.map((id) => [id, {}]))
    for (const topic of topics) {
      const partitions = cluster.findTopicPartitionMetadata(topic).map((one) => one.partitionId).sort((a, b) => a - b)
      const share = Math.floor(partitions.length / ids.length)
      const more = partitions.length % ids.length
      for (const [at, id] of ids.entries()) {
        assignment[id][topic] = partitions.splice(0, share + (at < more ? 1 : 0))
      }
    }
    return ids.map((memberId) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment: assignment[memberId] }),
    }))
  },
  protocol({ topics }) {
    return { name: 'range', metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics }) }
  },
})

// What it owns; see `Owned` of member.py. It gives everything up before it joins again.
const claims = process.env.MEMBER_CLAIMS
let owned = []
function owns(partitions) {
  for (const partition of claims ? owned : []) fs.rmSync(path.join(claims, `${topic}-${partition}`))
  owned = partitions
  for (const partition of claims ? owned : []) {
    const name = `${topic}-${partition}`
    try {
      fs.writeFileSync(path.join(claims, name), String(process.pid), { flag: 'wx' })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      fs.writeFileSync(path.join(claims, `twice-${name}`), '')
    }
  }
  console.log(['assigned', ...owned.map((partition) => `${topic}/${partition}`)].join(' '))
}

async function main() {
  const kafka = new Kafka({ clientId: 'kafkajs', brokers: [address], logLevel: logLevel.WARN })
  const settings = {
    sessionTimeout: SESSION_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    partitionAssigners: [range],
  }
  const consumer = kafka.consumer({ groupId, ...(process.env.MEMBER_ASSIGNOR === 'default' ? {} : settings) })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => owns(payload.memberAssignment[topic] ?? []))
  consumer.on(consumer.events.REBALANCING, () => owns([]))
  await consumer.connect()
  await consumer.subscribe({ topic })
  await consumer.run({ autoCommit: false, eachMessage: async () => {} })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, ...words] = line.trim().split(' ')
    if (verb === 'leave') break
    if (verb !== 'commit') throw new Error(`no such verb: ${verb}`)
    const positions = words.map((word) => {
      const [, topic, partition, offset] = word.match(/^(.*)\/(\d+)=(\d+)$/)
      return { topic, partition: Number(partition), offset }
    })
    await consumer.commitOffsets(positions).then(
      () => console.log('ok'),
      (error) => console.log(`refused ${error.type}: ${error.message}`),
    )
  }
  owns([])
  await consumer.disconnect()
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
