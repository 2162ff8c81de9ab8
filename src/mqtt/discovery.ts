import { type EarStatus, SENSITIVITIES } from '../core/events.ts';
import type { Topics } from './topics.ts';

/**
 * What Home Assistant is told about a camera: one device with all its entities (MQTT discovery in the device form,
 * Home Assistant 2024.12 and later). Keys and values as its `components/mqtt/schemas.py` and the platforms' own schemas
 * validate them; words are those of its `device_class`, `state_class` and units.
 */
export interface DeviceConfig {
  readonly device: {
    readonly identifiers: readonly string[];
    readonly name: string;
    readonly manufacturer: string;
    readonly model: string;
    readonly sw_version: string;
  };
  readonly origin: { readonly name: string; readonly sw_version: string };
  readonly availability: readonly Availability[];
  readonly availability_mode: 'all';
  readonly qos: 1;
  readonly components: Readonly<Record<string, Component>>;
}

interface Availability {
  readonly topic: string;
}

export interface Component {
  readonly platform: string;
  readonly [key: string]: unknown;
}

export const STREAM_STATES = ['online', 'idle', 'offline'] as const;
export type StreamState = (typeof STREAM_STATES)[number];

export interface DeviceOptions {
  readonly camera: string;
  readonly topics: Topics;
  /** What listens to it; null where nothing does. */
  readonly ear: Pick<EarStatus, 'detections'> | null;
  /** `hearthcam/0.1.0` */
  readonly product: string;
}

export function deviceConfig({ camera, topics, ear, product }: DeviceOptions): DeviceConfig {
  const id = topics.deviceId(camera);
  const version = product.replace(/^[^/]*\//, '');
  const own = topics.of(camera);
  const state = (value: string) => ({ state_topic: own.state, value_template: `{{ value_json.${value} }}` });
  const server = { topic: topics.status };
  const heard = { availability: [server, { topic: own.available }] };
  const diagnostic = { entity_category: 'diagnostic' };
  const listening = {
    crying: {
      ...{ platform: 'binary_sensor', name: 'Crying', device_class: 'sound', ...heard, ...state('crying') },
      json_attributes_topic: own.detection('cry'),
    },
    sounds: {
      ...{ platform: 'event', name: 'Sounds', icon: 'mdi:ear-hearing', ...heard, state_topic: own.event },
      event_types: (ear?.detections ?? []).flatMap((detection) => [`${detection}_started`, `${detection}_ended`]),
    },
    cry_confidence: {
      ...{ platform: 'sensor', name: 'Cry confidence', icon: 'mdi:percent', ...heard, ...state('cry_confidence') },
      ...{ unit_of_measurement: '%', state_class: 'measurement', suggested_display_precision: 0 },
    },
    loudness: {
      ...{ platform: 'sensor', name: 'Loudness', device_class: 'sound_pressure', ...heard, state_topic: own.level },
      ...{ value_template: '{{ value_json.dba }}', unit_of_measurement: 'dB', state_class: 'measurement' },
      suggested_display_precision: 0,
    },
    last_cry: { platform: 'sensor', name: 'Last cry', device_class: 'timestamp', ...state('last_cry') },
    cries_today: {
      ...{ platform: 'sensor', name: 'Cries today', icon: 'mdi:counter', ...state('cries_today') },
      state_class: 'total_increasing',
    },
    minutes_cried_today: {
      ...{ platform: 'sensor', name: 'Minutes cried today', device_class: 'duration', ...state('minutes_cried_today') },
      ...{ unit_of_measurement: 'min', state_class: 'total_increasing', suggested_display_precision: 0 },
    },
    listening: {
      ...{ platform: 'switch', name: 'Listening', icon: 'mdi:ear-hearing', entity_category: 'config' },
      ...{ state_topic: own.listening, command_topic: own.set('listening') },
    },
    sensitivity: {
      ...{ platform: 'select', name: 'Sensitivity', icon: 'mdi:tune', entity_category: 'config' },
      ...{ state_topic: own.sensitivity, command_topic: own.set('sensitivity'), options: [...SENSITIVITIES] },
    },
  };
  const always = {
    stream: {
      ...{ platform: 'sensor', name: 'Stream', device_class: 'enum', options: [...STREAM_STATES], ...diagnostic },
      ...state('stream'),
    },
    bit_rate: {
      ...{
        platform: 'sensor',
        name: 'Bit rate',
        device_class: 'data_rate',
        unit_of_measurement: 'kbit/s',
        ...diagnostic,
      },
      ...{ state_class: 'measurement', suggested_display_precision: 0, ...state('bit_rate') },
    },
    snapshot: { platform: 'image', name: 'Snapshot', image_topic: own.snapshot, content_type: 'image/jpeg' },
    take_snapshot: {
      ...{ platform: 'button', name: 'Take snapshot', icon: 'mdi:camera', command_topic: own.set('snapshot') },
      payload_press: 'PRESS',
    },
  };
  const components = ear === null ? always : { ...listening, ...always };
  return {
    device: {
      ...{ identifiers: [id], name: camera, manufacturer: 'Hearthcam', model: 'Camera', sw_version: version },
    },
    origin: { name: 'Hearthcam', sw_version: version },
    availability: [server],
    availability_mode: 'all',
    qos: 1,
    components: Object.fromEntries(
      Object.entries(components).map(([key, component]) => [key, { ...component, unique_id: `${id}_${key}` }]),
    ),
  };
}

/**
 * The config that takes away what `before` has and `after` has not: an entity named by its platform alone is removed,
 * one that is left out is not. Null when there is none.
 */
export function removalConfig(before: DeviceConfig, after: DeviceConfig): DeviceConfig | null {
  const gone = Object.entries(before.components).filter(([key]) => !(key in after.components));
  if (gone.length === 0) return null;
  const removed = Object.fromEntries(gone.map(([key, { platform }]) => [key, { platform }]));
  return { ...after, components: { ...after.components, ...removed } };
}
