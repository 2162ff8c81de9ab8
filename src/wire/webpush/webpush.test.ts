import assert from 'node:assert/strict';
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../core/errors.ts';
import { encryptPush, MAX_PUSH_BYTES } from './encrypt.ts';
import { vapidAuthorization, vapidPublicKey } from './vapid.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'base64url');
const KEYS = {
  publicKey: bytes('BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4'),
  auth: bytes('BTBZMqHH6r4Tts7J_aSIgg'),
};
const PRIVATE = bytes('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw');
const SALT = bytes('DGv6ra1nlYgDCS1FRnbzlw');

test('a message is encrypted as in the example of RFC 8291, appendix A', () => {
  const made = encryptPush(Buffer.from('When I grow up, I want to be a watermelon'), KEYS, PRIVATE, SALT);
  assert.equal(
    made.toString('base64url'),
    'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN',
  );
});

test('the largest message fits in what push services take, a larger one is refused', () => {
  assert.equal(encryptPush(Buffer.alloc(MAX_PUSH_BYTES), KEYS, PRIVATE, SALT).length, 4_096);
  assert.throws(() => encryptPush(Buffer.alloc(MAX_PUSH_BYTES + 1), KEYS, PRIVATE, SALT), WireError);
});

test('keys that are none are refused, whatever their bytes', () => {
  const any = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array));
  const point = fc
    .uint8Array({ minLength: 64, maxLength: 64 })
    .map((array) => Buffer.concat([Buffer.from([4]), array]));
  fc.assert(
    fc.property(fc.oneof(any, point), any, (publicKey, auth) => {
      assert.throws(() => encryptPush(Buffer.from('x'), { publicKey, auth }, PRIVATE, SALT), WireError);
      assert.throws(() => encryptPush(Buffer.from('x'), { publicKey, auth: KEYS.auth }, PRIVATE, SALT), WireError);
    }),
    { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) },
  );
});

test('the authorization is a token that the public key in it verifies', () => {
  const header = vapidAuthorization(PRIVATE, 'https://push.example.net', 'mailto:me@example.com', 1_700_000_000_000);
  const [, token = '', key = ''] = /^vapid t=([^,]+), k=(.+)$/.exec(header) ?? [];
  const [head = '', claims = '', signature = ''] = token.split('.');
  assert.deepEqual(JSON.parse(bytes(claims).toString()), {
    aud: 'https://push.example.net',
    exp: 1_700_000_000,
    sub: 'mailto:me@example.com',
  });
  const point = bytes(key);
  assert.deepEqual(point, vapidPublicKey(PRIVATE));
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  };
  const publicKey = createPublicKey({ format: 'jwk', key: jwk });
  const data = Buffer.from(`${head}.${claims}`);
  assert.ok(verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes(signature)));
  assert.ok(!verify('sha256', randomBytes(40), { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes(signature)));
});
