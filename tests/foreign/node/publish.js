// Publishes LeadCaptured and TouchRecorded for some leads with kafkajs and its Confluent schema registry client.
// Its schemas are its own: shorter than ours, the mandatory fields and little more, as an independent team's would be,
// and compatible with ours both ways: an enum carries a default, so that either side reads what it does not know.
//
// node publish.js BROKERS REGISTRY_URL TOPIC_PREFIX LEAD_ID...

'use strict'

const { Kafka, logLevel } = require('kafkajs')
const { COMPATIBILITY, SchemaRegistry, SchemaType } = require('@kafkajs/confluent-schema-registry')

const [brokers, registryUrl, prefix, ...leads] = process.argv.slice(2)

const common = [
  { name: 'event_id', type: 'string' },
  { name: 'lead_id', type: 'string' },
  { name: 'occurred_at', type: { type: 'long', logicalType: 'timestamp-millis' } },
  { name: 'source_system', type: 'string' },
]
const choice = (name, ...symbols) => ({
  name: name.toLowerCase(),
  type: { type: 'enum', name: 'Touch' + name, symbols: [...symbols, 'unknown'], default: 'unknown' },
})
const LeadCaptured = {
  type: 'record',
  namespace: 'baton',
  name: 'LeadCaptured',
  fields: [...common, { name: 'source', type: 'string' }, { name: 'hand_raise', type: 'boolean', default: false }],
}
const TouchRecorded = {
  type: 'record',
  namespace: 'baton',
  name: 'TouchRecorded',
  fields: [
    ...common,
    choice('Channel', 'call', 'email'),
    choice('Direction', 'inbound', 'outbound'),
    choice('Origin', 'marketing', 'sales'),
    choice('Actor', 'human', 'automated'),
    choice('Outcome', 'attempted', 'connected'),
  ],
}

async function main () {
  const registry = new SchemaRegistry({ host: registryUrl })
  const register = async (topic, schema) => {
    const subject = `${prefix}${topic}-${schema.namespace}.${schema.name}`
    const { id } = await registry.register(
      { type: SchemaType.AVRO, schema: JSON.stringify(schema) },
      { subject, compatibility: COMPATIBILITY.FULL_TRANSITIVE },
    )
    return id
  }
  const captured = await register('leads', LeadCaptured)
  const touched = await register('touches', TouchRecorded)
  const now = Date.now()

  const producer = new Kafka({ clientId: 'node', brokers: brokers.split(','), logLevel: logLevel.ERROR }).producer()
  await producer.connect()
  try {
    for (const lead of leads) {
      const capture = {
        event_id: `${lead}-captured`, lead_id: lead, occurred_at: now - 60000, source_system: 'node',
        source: 'website', hand_raise: true,
      }
      const touch = {
        event_id: `${lead}-touched`, lead_id: lead, occurred_at: now - 30000, source_system: 'node',
        channel: 'call', direction: 'outbound', origin: 'sales', actor: 'human', outcome: 'connected',
      }
      await producer.send({
        topic: `${prefix}leads`, acks: -1,
        messages: [{ key: lead, value: await registry.encode(captured, capture) }],
      })
      await producer.send({
        topic: `${prefix}touches`, acks: -1,
        messages: [{ key: lead, value: await registry.encode(touched, touch) }],
      })
    }
  } finally {
    await producer.disconnect()
  }
  console.log(2 * leads.length)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
