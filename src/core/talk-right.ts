import type { AccessPolicy, Peer } from './contracts.ts';
import { HearthcamError } from './errors.ts';

/**
 * For routes that view, listen and speak, and therefore ask only when they know which.
 * @throws HearthcamError 403 without the right to talk
 */
export function requireTalkRight(access: AccessPolicy, peer: Peer, streamName: string): void {
  if (access.allows(peer, 'talk', streamName)) return;
  throw new HearthcamError('access.denied', `speaking to "${streamName}" needs the right to talk`, { status: 403 });
}
