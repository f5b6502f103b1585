// Reads topics from their beginning in a consumer group, and writes each message as a line of JSON. Arguments: the broker, the group, and
// the topics. It ends with its standard input.

import { Kafka, logLevel } from 'kafkajs'

const [broker, groupId, ...topics] = process.argv.slice(2)
const retry = { initialRetryTime: 100, maxRetryTime: 1000, retries: 1000 }
const kafka = new Kafka({ clientId: 'test', brokers: [broker], logLevel: logLevel.NOTHING, retry })
const text = (value) => value?.toString('utf8') ?? null

/** Reads until the consumer gives up, and then again: kafkajs goes on by itself only after errors that it takes for passing ones, and a broker whose disk fails replies with others. */
async function read() {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 1000, retry, metadataMaxAge: 2000 })
  consumer.on(consumer.events.CRASH, async ({ payload }) => {
    if (payload.restart) return
    await consumer.disconnect().catch(() => {})
    setTimeout(read, 200)
  })
  await consumer.connect()
  // Until the topics are there.
  for (;;) {
    try {
      await consumer.subscribe({ topics, fromBeginning: true })
      break
    } catch (error) {
      if (!error.retriable) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, text(value)]))
      const line = { topic, partition, offset: message.offset, key: text(message.key), headers, value: text(message.value) }
      process.stdout.write(`${JSON.stringify(line)}\n`)
    },
  })
}

await read()

process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
