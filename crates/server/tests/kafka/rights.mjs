// Forbids or allows everyone to write to a topic. Arguments: the broker, `deny` or `allow`, and the topic.

// The package is CommonJS: a module sees its enumerations only through the default import.
import kafkajs from 'kafkajs'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs

const [broker, action, topic] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'rights', brokers: [broker], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const rule = (operation, permissionType) => ({
  resourceType: AclResourceTypes.TOPIC,
  resourceName: topic,
  resourcePatternType: ResourcePatternTypes.LITERAL,
  principal: 'User:ANONYMOUS',
  host: '*',
  operation,
  permissionType,
})
const denied = rule(AclOperationTypes.WRITE, AclPermissionTypes.DENY)

await admin.connect()
if (action === 'deny') {
  // Where a topic has a rule, only what its rules allow is allowed.
  await admin.createAcls({ acl: [rule(AclOperationTypes.ALL, AclPermissionTypes.ALLOW), denied] })
} else {
  await admin.deleteAcls({ filters: [denied] })
}
await admin.disconnect()
