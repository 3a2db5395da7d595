// Writes records into a topic, or reads them in a group, with kafkajs: the same program as ../python/records.py.
//
// usage: records.js HOST:PORT produce TOPIC PARTITIONS COUNT
//        records.js HOST:PORT consume TOPIC GROUP COUNT
//
// OFFSETD_SASL, if it is set, says who this is: mechanism, name and password, blanks between.

// From where setup.sh has put it: not beside the sources.
const { createRequire } = require('node:module')
const installed = createRequire(process.env.OFFSETD_NODE_MODULES + '/')
const { Kafka, logLevel } = installed('kafkajs')

const [address, role, topic, ...rest] = process.argv.slice(2)
const PATIENCE_MS = 60000
const [mechanism, username, password] = (process.env.OFFSETD_SASL || '').split(' ')
const sasl = mechanism ? { mechanism: mechanism.toLowerCase(), username, password } : undefined
const kafka = new Kafka({ clientId: 'kafkajs', brokers: address.split(','), logLevel: logLevel.NOTHING, sasl })

async function produce(partitions, count) {
  const producer = kafka.producer({ idempotent: true })
  await producer.connect()
  const messages = Array.from({ length: count }, (_, number) => ({
    key: `${number}`,
    value: `v${number}`,
    partition: number % partitions,
  }))
  await producer.send({ topic, messages, acks: -1 })
  await producer.disconnect()
}

async function consume(groupId, count) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 200 })
  const next = new Map()
  let left = count
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${left} records did not come`)), PATIENCE_MS).unref()
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (left <= 0) return
        console.log(partition, message.offset, `${message.key}`, `${message.value}`)
        next.set(partition, `${BigInt(message.offset) + 1n}`)
        left -= 1
        if (left === 0) resolve()
      },
    }).catch(reject)
  })
  await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic, partition, offset })))
  await consumer.disconnect()
}

const run = role === 'produce' ? produce(Number(rest[0]), Number(rest[1])) : consume(rest[0], Number(rest[1]))
run.catch((error) => {
  console.error(error)
  process.exitCode = 1
})
