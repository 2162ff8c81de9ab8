import { createECDH, createPrivateKey, sign } from 'node:crypto';

/** The server's own identity towards push services: a private key of P-256, 32 bytes. */
export function vapidPublicKey(privateKey: Buffer): Buffer {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(privateKey);
  return ecdh.getPublicKey();
}

/**
 * The `Authorization` header for a push service (RFC 8292 §3).
 * @param audience origin of the subscription's endpoint; @param subject `mailto:` or `https:` of whom to ask
 */
export function vapidAuthorization(privateKey: Buffer, audience: string, subject: string, expiresMs: number): string {
  const publicKey = vapidPublicKey(privateKey);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { aud: audience, exp: Math.floor(expiresMs / 1_000), sub: subject };
  const signed = `${part({ typ: 'JWT', alg: 'ES256' })}.${part(claims)}`;
  const key = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: privateKey.toString('base64url'),
      x: publicKey.subarray(1, 33).toString('base64url'),
      y: publicKey.subarray(33).toString('base64url'),
    },
  });
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
  return `vapid t=${signed}.${signature.toString('base64url')}, k=${publicKey.toString('base64url')}`;
}
