import { z } from 'zod';
import { parseQuietHours, parseRateLimit } from './rules.ts';

/** A text that `parse` understands; what it throws is shown to the owner. */
function parsed(parse: (text: string) => unknown): z.ZodType<string> {
  return z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
    }
  });
}

const address = z.string().superRefine((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    context.addIssue({ code: 'custom', message: 'must be an address such as https://example.net/hook' });
  }
});
const headers = z.record(z.string().regex(/^[\w-]{1,60}$/), z.string().regex(/^[\t\x20-\x7e]*$/));
const names = z.array(z.string());

const rule = z.object({
  cameras: names.optional().describe('Names of cameras; absent = all.'),
  detections: names.optional().describe('cry, or names of sounds; absent = all.'),
  states: z
    .array(z.enum(['started', 'updated', 'ended']))
    .default(['started'])
    .describe('What is told of an event: its beginning, that it goes on (each 5 s), its end.'),
  to: names.optional().describe('Names of webhooks and ntfy topics, and push; absent = all there are.'),
  quiet_hours: z
    .union([parsed(parseQuietHours), z.array(parsed(parseQuietHours))])
    .optional()
    .describe('Nothing is told between these times of the day: "22:00-06:00".'),
  min_duration: z.number().min(0).max(3_600).default(0).describe('Seconds that an event must last before it is told.'),
  rate_limit: parsed(parseRateLimit)
    .optional()
    .describe('Of each camera, at most so many events in that time are told: "1/5m".'),
});

/** `notify:` of the configuration. */
export const notifySchema = z.object({
  base_url: z
    .union([z.literal(''), address])
    .default('')
    .describe('Address of this server as phones reach it, for links.'),
  time_zone: z
    .string()
    .refine(isTimeZone, 'must be the name of a time zone such as Europe/Berlin')
    .default('')
    .describe("Of quiet hours; empty = this machine's."),
  rules: z.array(rule).optional().describe('Which events go where; absent = the beginning of each, to everybody.'),
  webhooks: z
    .record(
      z.string(),
      z.object({
        url: address.describe('Where each event is POSTed as JSON.'),
        secret: z.string().default('').describe('Signs each message (HMAC-SHA256).'),
        headers: headers.default({}).describe('Sent as well, for example authorization.'),
        timeout_seconds: z.number().min(1).max(60).default(10),
      }),
    )
    .default({}),
  ntfy: z
    .record(
      z.string(),
      z.object({
        url: address.describe('Address of the topic: https://ntfy.sh/your-topic.'),
        token: z.string().default('').describe('Access token.'),
        priority: z.number().int().min(1).max(5).default(4).describe('1 (silent) … 5 (loud).'),
        title: z.string().default('').describe('Instead of the usual one; {camera} and {detection} are filled in.'),
        attach: z.boolean().default(false).describe('Show the snapshot; needs base_url, which the phone must reach.'),
      }),
    )
    .default({}),
  push: z
    .object({
      subject: z
        .string()
        .regex(/^(mailto:|https:).+/)
        .default('mailto:owner@hearthcam.invalid')
        .describe('Whom a push service may ask about our messages.'),
      services: names.default([]).describe('Origins of push services besides those of the known browsers.'),
    })
    .prefault({}),
});

export type NotifySettings = z.infer<typeof notifySchema>;
export type RuleSettings = z.infer<typeof rule>;

function isTimeZone(name: string): boolean {
  if (name === '') return true;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
