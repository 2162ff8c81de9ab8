import type { OutputModule, WsSession } from '../../core/contracts.ts';
import type { Scope } from '../../core/scope.ts';
import { serveKeyframes } from './keyframes.ts';
import { serveMse } from './session.ts';

type Serve = (session: WsSession, value: unknown, scope: Scope) => Promise<void>;

/** Live fragmented MP4 over `/api/ws` for Media Source Extensions (compatibility.md 1.5: messages `mse` and `mp4`). */
export const mse: OutputModule = {
  name: 'mse',
  start(env) {
    const add = (type: string, serve: Serve): void => {
      // A second request of a kind on one socket takes the place of the first.
      const running = new WeakMap<WsSession, Scope>();
      env.routes.message({
        type,
        right: 'view',
        async handler(session, value) {
          const before = running.get(session);
          const scope = session.scope.child(type);
          running.set(session, scope);
          await before?.close();
          try {
            await serve(session, value, scope);
          } catch (error) {
            await scope.close();
            throw error;
          }
        },
      });
    };
    add('mse', (session, value, scope) => serveMse(env, session, value, scope));
    add('mp4', (session, value, scope) => serveKeyframes(env, session, value, scope));
  },
};
