import type { AccessPolicy, Peer, Right } from './contracts.ts';
import { HearthcamError } from './errors.ts';

/**
 * What publishing to a stream needs, whatever the way: who publishes decides what everybody sees under a name that the
 * owner configured, as does who changes the stream's sources.
 */
export const PUBLISH_RIGHT = 'configure' satisfies Right;

/**
 * For a route that both views and publishes, and therefore asks only when it knows which.
 * @throws HearthcamError 403 without the right
 */
export function requirePublishRight(access: AccessPolicy, peer: Peer, streamName?: string): void {
  if (access.allows(peer, PUBLISH_RIGHT, streamName)) return;
  throw new HearthcamError('access.denied', `publishing needs the right to ${PUBLISH_RIGHT}`, { status: 403 });
}
