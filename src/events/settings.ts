import { z } from 'zod';

/** `events:` of the configuration. */
export const eventsSchema = z.object({
  keep_days: z.number().min(1).max(3650).default(90).describe('Events, their clips and snapshots are kept so long.'),
  max_mib: z
    .number()
    .min(1)
    .max(10_240)
    .default(64)
    .describe('Room for the events themselves, with their curves; the oldest ones give way.'),
  clips: z
    .object({
      enabled: z.boolean().default(true).describe('Keep sound and picture around each event.'),
      picture: z
        .enum(['sub', 'main', 'off'])
        .default('sub')
        .describe("Which of the camera's streams is kept: the smallest one, the best one, or its sound alone."),
      before_seconds: z.number().min(0).max(60).default(10).describe('Kept from before the event.'),
      after_seconds: z.number().min(0).max(60).default(5).describe('Kept from after its end.'),
      max_seconds: z.number().min(10).max(3_600).default(300).describe('No clip is longer.'),
      max_mib: z
        .number()
        .min(1)
        .max(1_048_576)
        .default(1_024)
        .describe('Room for all clips and snapshots; the oldest ones give way.'),
      buffer_mib: z
        .number()
        .min(1)
        .max(256)
        .default(16)
        .describe('Memory for the last seconds of each camera that is listened to.'),
    })
    .prefault({}),
});

export type EventsSettings = z.infer<typeof eventsSchema>;
