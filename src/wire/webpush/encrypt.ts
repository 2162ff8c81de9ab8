import { createCipheriv, createECDH, createHmac } from 'node:crypto';
import { WireError } from '../../core/errors.ts';

/** What a browser gave for a subscription (Push API §8): its public key (65 bytes, uncompressed) and its secret (16). */
export interface PushKeys {
  readonly publicKey: Buffer;
  readonly auth: Buffer;
}

const CURVE = 'prime256v1';
const KEY_BYTES = 65;
const AUTH_BYTES = 16;
/** RFC 8291 §4: one record. Push services take 4096 bytes (RFC 8030 §7.2), of which the head, padding and tag are 103. */
const RECORD_BYTES = 4_096;
export const MAX_PUSH_BYTES = RECORD_BYTES - 103;

/**
 * Encrypts a message for a browser as `aes128gcm` (RFC 8291, RFC 8188).
 * @param privateKey of this one message, 32 random bytes; @param salt 16 random bytes, never used again
 * @throws WireError for keys that are none, and for a message that is too long
 */
export function encryptPush(text: Buffer, keys: PushKeys, privateKey: Buffer, salt: Buffer): Buffer {
  const { publicKey, auth } = keys;
  if (publicKey.length !== KEY_BYTES || publicKey[0] !== 4) {
    throw new WireError('push.key', `a browser's key has ${KEY_BYTES} bytes and begins with 4`, 0);
  }
  if (auth.length !== AUTH_BYTES) throw new WireError('push.key', `a browser's secret has ${AUTH_BYTES} bytes`, 0);
  if (text.length > MAX_PUSH_BYTES) {
    throw new WireError('push.size', `a push message has at most ${MAX_PUSH_BYTES} bytes`, MAX_PUSH_BYTES);
  }
  const ecdh = createECDH(CURVE);
  ecdh.setPrivateKey(privateKey);
  const own = ecdh.getPublicKey();
  const shared = secretWith(ecdh, publicKey);
  // RFC 8291 §3.3 and §3.4: HKDF (RFC 5869), written out as the RFC does.
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), publicKey, own]);
  const key = expand(hmac(auth, shared), info, 32);
  const pseudoRandom = hmac(salt, key);
  const contentKey = expand(pseudoRandom, Buffer.from('Content-Encoding: aes128gcm\0'), 16);
  const nonce = expand(pseudoRandom, Buffer.from('Content-Encoding: nonce\0'), 12);
  const cipher = createCipheriv('aes-128-gcm', contentKey, nonce);
  // The delimiter of the last record (RFC 8188 §2).
  const body = Buffer.concat([
    cipher.update(text),
    cipher.update(Buffer.from([2])),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
  const head = Buffer.alloc(AUTH_BYTES + 5);
  salt.copy(head);
  head.writeUInt32BE(RECORD_BYTES, AUTH_BYTES);
  head.writeUInt8(own.length, AUTH_BYTES + 4);
  return Buffer.concat([head, own, body]);
}

function secretWith(ecdh: ReturnType<typeof createECDH>, publicKey: Buffer): Buffer {
  try {
    return ecdh.computeSecret(publicKey);
  } catch (cause) {
    throw new WireError('push.key', "a browser's key is no point of the curve", 0, { cause });
  }
}

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** HKDF-Expand for up to one digest. */
function expand(key: Buffer, info: Buffer, bytes: number): Buffer {
  return hmac(key, Buffer.concat([info, Buffer.from([1])])).subarray(0, bytes);
}
