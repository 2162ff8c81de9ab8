import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { deviceConfig, removalConfig } from './discovery.ts';
import { nameOfLevel, Topics, topicLevel } from './topics.ts';

/**
 * Home Assistant's validation of a device's discovery message, written from its own schemas (`components/mqtt`:
 * `schemas.py` and each platform's `DISCOVERY_SCHEMA`; `sensor/const.py` for classes and units). Stricter than those:
 * a key that a platform doesn't know is refused here, and ignored there.
 */
const topic = z
  .string()
  .regex(/^[^+#\0]+$/)
  .max(65_535);
const template = z.string().regex(/^\{\{ value_json\.[a-z_]+ \}\}$/);
const availability = z.array(z.strictObject({ topic })).min(1);
const entity = {
  unique_id: z.string().regex(/^[a-zA-Z0-9_-]+$/),
  name: z.string().min(1),
  availability: availability.optional(),
  icon: z
    .string()
    .regex(/^mdi:[a-z-]+$/)
    .optional(),
  entity_category: z.enum(['config', 'diagnostic']).optional(),
  json_attributes_topic: topic.optional(),
};
const readable = { state_topic: topic, value_template: template.optional() };
const units: Readonly<Record<string, readonly string[]>> = {
  sound_pressure: ['dB', 'dBA'],
  duration: ['d', 'h', 'min', 's', 'ms'],
  data_rate: ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'B/s', 'kB/s', 'MB/s', 'GB/s'],
};
const sensor = z
  .strictObject({
    ...{ platform: z.literal('sensor'), ...entity, ...readable },
    device_class: z.enum(['sound_pressure', 'duration', 'data_rate', 'timestamp', 'enum']).optional(),
    state_class: z.enum(['measurement', 'total', 'total_increasing']).optional(),
    unit_of_measurement: z.string().optional(),
    suggested_display_precision: z.int().min(0).optional(),
    options: z.array(z.string()).min(1).optional(),
  })
  // validate_sensor_state_and_device_class_config of mqtt/sensor.py, and the checks of sensor/__init__.py.
  .refine(({ options, device_class: kind }) => (options === undefined) === (kind !== 'enum'), 'options are for enums')
  .refine(
    ({ device_class: kind, state_class, unit_of_measurement: unit }) =>
      !(kind === 'enum' || kind === 'timestamp') || (state_class === undefined && unit === undefined),
    'an enum or a timestamp is no measurement',
  )
  .refine(({ device_class: kind, unit_of_measurement: unit }) => {
    const allowed = kind === undefined ? undefined : units[kind];
    return allowed === undefined || (unit !== undefined && allowed.includes(unit));
  }, 'the unit is not of the class');
const component = z.discriminatedUnion('platform', [
  sensor,
  z.strictObject({ platform: z.literal('binary_sensor'), ...entity, ...readable, device_class: z.literal('sound') }),
  z.strictObject({
    platform: z.literal('event'),
    ...entity,
    state_topic: topic,
    event_types: z.array(z.string()).min(1),
  }),
  z.strictObject({
    platform: z.literal('image'),
    ...entity,
    image_topic: topic,
    content_type: z.literal('image/jpeg'),
  }),
  z.strictObject({ platform: z.literal('switch'), ...entity, ...readable, command_topic: topic }),
  z.strictObject({
    platform: z.literal('select'),
    ...entity,
    ...readable,
    command_topic: topic,
    options: z.array(z.string()).min(1),
  }),
  z.strictObject({ platform: z.literal('button'), ...entity, command_topic: topic, payload_press: z.string() }),
]);
const device = z
  .strictObject({
    device: z.strictObject({
      identifiers: z.array(z.string().min(1)).min(1),
      name: z.string().min(1),
      manufacturer: z.string(),
      model: z.string(),
      sw_version: z.string(),
    }),
    origin: z.strictObject({ name: z.string(), sw_version: z.string() }),
    availability,
    availability_mode: z.enum(['all', 'any', 'latest']),
    qos: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    components: z.record(z.string(), component),
  })
  .refine(({ components }) => {
    const ids = Object.values(components).map(({ unique_id }) => unique_id);
    return new Set(ids).size === ids.length;
  }, 'unique ids are unique');

const topics = new Topics('hearthcam', 'homeassistant');
const product = 'hearthcam/1.2.3';
const ear = { detections: ['cry', 'smoke_alarm'] };

describe('what Home Assistant is told about a camera', () => {
  test('passes its validation, with and without a listener', () => {
    const heard = device.parse(deviceConfig({ camera: 'nursery', topics, ear, product }));
    assert.deepEqual(
      Object.entries(heard.components).map(([key, { platform }]) => `${platform} ${key}`),
      [
        ...['binary_sensor crying', 'event sounds', 'sensor cry_confidence', 'sensor loudness', 'sensor last_cry'],
        ...['sensor cries_today', 'sensor minutes_cried_today', 'switch listening', 'select sensitivity'],
        ...['sensor stream', 'sensor bit_rate', 'image snapshot', 'button take_snapshot'],
      ],
    );
    const deaf = device.parse(deviceConfig({ camera: 'nursery', topics, ear: null, product }));
    assert.deepEqual(Object.keys(deaf.components), ['stream', 'bit_rate', 'snapshot', 'take_snapshot']);
    assert.deepEqual(heard.device.identifiers, deaf.device.identifiers);
  });

  test('what is heard is unavailable when the server or the ear is; all else depends on the server', () => {
    const { components, availability: whole } = deviceConfig({ camera: 'nursery', topics, ear, product });
    const both = [{ topic: 'hearthcam/status' }, { topic: 'hearthcam/nursery/available' }];
    assert.deepEqual(whole, [{ topic: 'hearthcam/status' }]);
    const own = Object.entries(components).filter(([, { availability: one }]) => one !== undefined);
    assert.deepEqual(
      own.map(([key]) => key),
      ['crying', 'sounds', 'cry_confidence', 'loudness'],
    );
    for (const [, one] of own) assert.deepEqual(one['availability'], both);
  });

  test('an entity that is gone is first named by its platform alone, which removes it', () => {
    const before = deviceConfig({ camera: 'nursery', topics, ear, product });
    const after = deviceConfig({ camera: 'nursery', topics, ear: null, product });
    const removal = removalConfig(before, after);
    assert.deepEqual(removal?.components['crying'], { platform: 'binary_sensor' });
    assert.deepEqual(removal?.components['stream'], after.components['stream']);
    assert.equal(removalConfig(after, before), null);
  });

  test('two cameras never share a topic or an identifier, whatever their names are', () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, unit: 'binary' }),
      fc.string({ minLength: 1, unit: fc.constantFrom('a', '/', '+', '#', '%', '2', 'F', '_', ' ', 'ä', '\0') }),
    );
    fc.assert(
      fc.property(name, name, (one, other) => {
        // A name from a file is well-formed text.
        fc.pre(one.isWellFormed() && other.isWellFormed());
        assert.match(topicLevel(one), /^[^/+#\0]+$/u);
        assert.equal(nameOfLevel(topicLevel(one)), one);
        const config = device.parse(deviceConfig({ camera: one, topics, ear, product }));
        assert.match(topics.discovery(one), /^homeassistant\/device\/[a-zA-Z0-9_-]+\/config$/);
        if (one === other) return;
        assert.notEqual(topics.of(one).base, topics.of(other).base);
        assert.notDeepEqual(
          config.device.identifiers,
          deviceConfig({ camera: other, topics, ear, product }).device.identifiers,
        );
      }),
      { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
    );
  });
});
