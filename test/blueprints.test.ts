import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isScalar, parseDocument, visit } from 'yaml';
import { z } from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'integrations/home-assistant/blueprints/automation/hearthcam');
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

/** What `!input name` becomes when a blueprint is read here. */
class Input {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}
const inputTag = { tag: '!input', resolve: (name: string) => new Input(name) };

/**
 * Home Assistant's schemas of a blueprint (`components/blueprint/schemas.py`), of an automation
 * (`components/automation/config.py`) and of actions and triggers (`helpers/config_validation.py`), as far as these
 * use them; keys that are not named are refused.
 */
const input = z.instanceof(Input);
const text = z.string().min(1);
const seconds = z.union([z.number(), input, text]);
const duration = z.strictObject({
  hours: seconds.optional(),
  minutes: seconds.optional(),
  seconds: seconds.optional(),
});
const filter = z.array(
  z.strictObject({ integration: text.optional(), domain: text.optional(), device_class: text.optional() }),
);
const selector = z.union([
  z.strictObject({ entity: z.strictObject({ multiple: z.boolean().optional(), filter }) }),
  z.strictObject({ device: z.strictObject({ filter }) }),
  z.strictObject({ number: z.strictObject({ min: z.number(), max: z.number(), unit_of_measurement: text }) }),
  ...(['media', 'text', 'time', 'boolean', 'action'] as const).map((kind) =>
    z.strictObject({ [kind]: z.strictObject({}) }),
  ),
]);
const trigger = z.union([
  z.strictObject({
    ...{ trigger: z.literal('state'), entity_id: input, from: text.optional(), to: text.optional() },
    for: duration.optional(),
  }),
  z.strictObject({ trigger: z.literal('time'), at: input, id: text.optional() }),
  z.strictObject({ trigger: z.literal('homeassistant'), event: z.enum(['start', 'shutdown']), id: text.optional() }),
]);
const condition = z.union([text, z.strictObject({ condition: z.literal('template'), value_template: text })]);
const variables = z.record(z.string(), z.union([input, text]));
const wait = { timeout: duration, continue_on_timeout: z.boolean() };
const service = z.strictObject({
  action: z.string().regex(/^[a-z_]+\.[a-z_]+(?:\{\{.*\}\})?$/),
  target: z.strictObject({ entity_id: z.union([input, text]) }).optional(),
  data: z.record(z.string(), z.unknown()).optional(),
  response_variable: text.optional(),
  continue_on_error: z.boolean().optional(),
});
const notification = z.strictObject({
  ...{ domain: z.literal('mobile_app'), type: z.literal('notify'), device_id: input, title: text, message: text },
  data: z.record(z.string(), z.unknown()),
});
const action: z.ZodType = z.lazy(() =>
  z.union([
    service,
    notification,
    z.strictObject({ variables }),
    z.strictObject({ sequence: z.union([input, z.array(action)]) }),
    // biome-ignore lint/suspicious/noThenProperty: that is what Home Assistant calls it
    z.strictObject({ if: condition, then: z.array(action) }),
    z.strictObject({ wait_for_trigger: z.array(trigger), ...wait }),
    z.strictObject({ wait_template: text, ...wait }),
    z.strictObject({ repeat: z.strictObject({ sequence: z.array(action), until: z.array(condition) }) }),
  ]),
);
const blueprint = z.strictObject({
  blueprint: z.strictObject({
    name: text.startsWith('Hearthcam: '),
    description: text,
    domain: z.literal('automation'),
    homeassistant: z.strictObject({ min_version: z.string().regex(/^\d+\.\d+\.\d+$/) }),
    input: z.record(
      z.string().regex(/^[a-z_]+$/),
      z.strictObject({ name: text, description: text.optional(), default: z.unknown().optional(), selector }),
    ),
  }),
  mode: z.enum(['single', 'restart', 'queued', 'parallel']),
  max_exceeded: z.literal('silent').optional(),
  triggers: z.array(trigger).min(1),
  variables,
  conditions: z.array(condition).optional(),
  actions: z.array(action).min(1),
});

describe('blueprints for Home Assistant', () => {
  for (const name of files) {
    const source = readFileSync(join(folder, name), 'utf8');
    const document = parseDocument(source, { customTags: [inputTag], version: '1.1' });

    test(`${name} is a blueprint as Home Assistant validates it`, () => {
      assert.deepEqual([...document.errors, ...document.warnings], []);
      const parsed = blueprint.safeParse(document.toJS());
      assert.ok(parsed.success, parsed.error === undefined ? '' : z.prettifyError(parsed.error));
    });

    test(`${name} uses every input, and none that it does not have`, () => {
      const used = new Set([...source.matchAll(/!input (\w+)/g)].map(([, one]) => one));
      const has = Object.keys(blueprint.parse(document.toJS()).blueprint.input);
      assert.deepEqual([...used].sort(), has.sort());
    });

    test(`${name} has templates whose brackets match, within quotes`, () => {
      let templates = 0;
      visit(document, {
        Scalar(_key, node) {
          const value = isScalar(node) ? node.value : undefined;
          if (typeof value !== 'string' || !/\{[{%]/.test(value)) return;
          templates++;
          const rest = value.replace(/\{\{(?:(?!\{\{|\}\}).)*\}\}|\{%(?:(?!\{%|%\}).)*%\}/gs, '');
          assert.doesNotMatch(rest, /\{\{|\}\}|\{%|%\}/, value);
          for (const [open, close] of ['()', '[]']) {
            const count = (char: string | undefined): number => value.split(char ?? '').length;
            assert.equal(count(open), count(close), value);
          }
        },
      });
      assert.ok(templates > 0);
    });
  }

  test('the list of them is complete', () => {
    const readme = readFileSync(join(dirname(dirname(dirname(folder))), 'README.md'), 'utf8');
    const listed = [...readme.matchAll(/^\| `(\w+\.yaml)`/gm)].map(([, name]) => name);
    assert.deepEqual(listed.sort(), files.sort());
  });
});
