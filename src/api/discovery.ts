import type { Env } from '../core/contracts.ts';
import { queryOf, sendEmpty, sendJson, sendText } from './reply.ts';
import type { TalkApi } from './talk.ts';

/**
 * Endpoints by which clients ask what could be found or used (compatibility.md 1.7). Nothing is searched for, so they
 * give go2rtc's answer for "nothing found": clients like Frigate's health check must not take a missing route for an
 * error.
 */
const NO_SOURCES: readonly string[] = [
  '/api/ffmpeg/devices',
  '/api/v4l2',
  '/api/alsa',
  '/api/gopro',
  '/api/dvrip',
  '/api/onvif',
  '/api/discovery/homekit',
  '/api/nest',
  '/api/ring',
  '/api/tuya',
  '/api/wyze',
  '/api/xiaomi',
  '/api/roborock',
];

/**
 * Discovery that finds nothing: go2rtc's answers for that; and `/api/ffmpeg`, which plays something to a camera
 * (compatibility.md 1.7).
 */
export function mountDiscovery({ routes, hub }: Env, talk: TalkApi): void {
  for (const path of NO_SOURCES) {
    routes.route({
      methods: ['GET', 'HEAD'],
      path,
      right: 'configure',
      handler: (_request, reply) => sendText(reply, 404, 'no sources'),
    });
  }
  routes.route({
    methods: ['GET', 'HEAD'],
    path: '/api/hass',
    right: 'configure',
    handler: (_request, reply) => sendText(reply, 404, 'no hass config'),
  });
  routes.route({
    methods: ['GET', 'HEAD'],
    path: '/api/homekit',
    right: 'configure',
    handler: (request, reply) =>
      queryOf(request).has('id') ? sendText(reply, 404, 'server not found') : sendJson(reply, null),
  });
  routes.route({
    methods: ['POST'],
    path: '/api/ffmpeg',
    right: 'talk',
    handler: async (request, reply, peer) => {
      const query = queryOf(request);
      await talk.playMedia(hub.require(query.get('dst') ?? ''), query, request, peer);
      return sendEmpty(reply);
    },
  });
  routes.route({
    methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'],
    path: '/api/ffmpeg',
    right: 'talk',
    handler: (_request, reply) => sendText(reply, 405, 'Method not allowed'),
  });
  // The RTSPtoWebRTC integration asks these to see whether a server is there.
  for (const path of ['/static', '/streams']) {
    routes.route({
      methods: ['GET', 'HEAD'],
      path,
      right: 'view',
      handler: (_request, reply) => sendJson(reply, { status: 1, payload: {} }),
    });
  }
}
