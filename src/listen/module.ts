import { z } from 'zod';
import type { Env, OutputModule } from '../core/contracts.ts';
import { HearthcamError } from '../core/errors.ts';
import { SENSITIVITIES } from '../core/events.ts';
import { type ListenSettings, listenSchema } from './settings.ts';

/** Listens to the cameras of `listen:`. Nothing is loaded when there are none. */
export const listen: OutputModule<ListenSettings> = {
  name: 'listen',
  config: { key: 'listen', schema: listenSchema },
  async start(env, settings, scope) {
    mount(env);
    const none = Array.isArray(settings.cameras) && settings.cameras.length === 0;
    if (none) return;
    const own = scope.child('listen');
    // Loaded only where somebody listens.
    const { startEars } = await import('./ears.ts');
    const ears = await startEars(env, settings, own);
    env.events.ears = ears;
    own.defer(() => {
      if (env.events.ears === ears) env.events.ears = null;
    });
  },
};

function mount(env: Env): void {
  const query = z.object({
    camera: z.string(),
    listening: z.enum(['on', 'off']).optional(),
    sensitivity: z.enum(SENSITIVITIES).optional(),
  });
  env.routes.route({ methods: ['GET'], path: '/api/ears', right: 'view', handler: () => env.events.ears?.all() ?? [] });
  env.routes.route({
    methods: ['POST'],
    path: '/api/ears',
    right: 'control',
    handler: (request) => {
      const parsed = query.safeParse(request.query);
      if (!parsed.success) {
        throw new HearthcamError('listen.query', 'camera is needed, listening is on or off, sensitivity a word', {
          status: 400,
          hint: `sensitivity: ${SENSITIVITIES.join(', ')}`,
        });
      }
      const { camera, listening, sensitivity } = parsed.data;
      const { ears } = env.events;
      if (ears === null) {
        throw new HearthcamError('listen.off', 'no camera is listened to', {
          status: 404,
          hint: 'name cameras below listen.cameras in the configuration',
        });
      }
      if (listening !== undefined) ears.setListening(camera, listening === 'on');
      if (sensitivity !== undefined) ears.setSensitivity(camera, sensitivity);
      return ears.all().find((one) => one.camera === camera) ?? null;
    },
  });
}
