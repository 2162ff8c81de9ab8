import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientAuth, digestResponse, parseChallenges, ServerAuth } from './auth.ts';

const CAMERA = { user: 'admin', password: 'secret "x" \\y:z' };

test('Digest with MD5 and SHA-256 gives the numbers of RFC 7616 §3.9.1', () => {
  const fields = {
    user: 'Mufasa',
    password: 'Circle of Life',
    realm: 'http-auth@example.org',
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    method: 'GET',
    uri: '/dir/index.html',
    qop: 'auth',
    nc: '00000001',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  };
  assert.equal(digestResponse({ ...fields, algorithm: 'MD5' }), '8ca523f5e9506fed4657c9700eebdbec');
  assert.equal(
    digestResponse({ ...fields, algorithm: 'SHA-256' }),
    '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1',
  );
});

test('Digest without qop gives the number of RFC 2069 §2.4 as its erratum has it', () => {
  const response = digestResponse({
    algorithm: 'MD5',
    user: 'Mufasa',
    password: 'CircleOfLife',
    realm: 'testrealm@host.com',
    nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
    method: 'GET',
    uri: '/dir/index.html',
    qop: '',
    nc: '',
    cnonce: '',
  });
  assert.equal(response, '1949323746fe6a43ef61f9606e7febea');
});

const challenges: { name: string; values: string[]; kind: string | null; realm?: string }[] = [
  { name: 'Basic', values: ['Basic realm="cam"'], kind: 'basic' },
  {
    name: 'Digest as TP-Link sends it',
    values: ['Digest realm="TP-LINK IP-Camera", nonce="1a2b"'],
    kind: 'digest-md5',
    realm: 'TP-LINK IP-Camera',
  },
  {
    name: 'both in one header',
    values: ['Basic realm="a", Digest realm="b", nonce="c", algorithm="MD5"'],
    kind: 'digest-md5',
    realm: 'b',
  },
  {
    name: 'SHA-256 wins over MD5',
    values: ['Digest realm="r",nonce="n",algorithm=MD5', 'Digest realm="r",nonce="n",algorithm=SHA-256'],
    kind: 'digest-sha-256',
  },
  {
    name: 'Hikvision: stale in quotes, no blank after commas',
    values: ['Digest realm="IP Camera(C1234)", nonce="abc", stale="FALSE"', 'Basic realm="IP Camera(C1234)"'],
    kind: 'digest-md5',
    realm: 'IP Camera(C1234)',
  },
  {
    name: 'an algorithm that we do not know beside Basic',
    values: ['Digest realm="r",nonce="n",algorithm=SHA-512-256', 'Basic realm="r"'],
    kind: 'basic',
  },
  { name: 'auth-int alone', values: ['Digest realm="r",nonce="n",qop="auth-int"'], kind: null },
  { name: 'auth among others', values: ['Digest realm="r",nonce="n",qop="auth-int,auth"'], kind: 'digest-md5' },
  { name: 'a comma in the realm', values: ['Digest realm="a, b", nonce="n"'], kind: 'digest-md5', realm: 'a, b' },
  { name: 'a scheme that we do not know', values: ['Negotiate', 'Bearer realm="x"'], kind: null },
  { name: 'nonsense', values: ['"" = , ;'], kind: null },
];
for (const row of challenges) {
  test(`a camera that asks with ${row.name} is answered with ${row.kind ?? 'nothing'}`, () => {
    const auth = new ClientAuth(CAMERA);
    const parsed = parseChallenges(row.values);
    assert.equal(auth.challenge(parsed, false), row.kind !== null);
    assert.equal(auth.kind, row.kind);
    if (row.realm !== undefined) {
      assert.ok(auth.authorize('DESCRIBE', 'rtsp://c/')?.includes(`realm="${row.realm}"`));
    }
  });
}

for (const kind of ['digest-sha-256', 'digest-md5', 'basic'] as const) {
  test(`our client and our server agree on ${kind}`, () => {
    const server = new ServerAuth({
      realm: 'hearth "cam"',
      password: (user) => (user === CAMERA.user ? CAMERA.password : undefined),
      kinds: [kind],
    });
    const client = new ClientAuth(CAMERA);
    assert.ok(client.challenge(parseChallenges(server.challenges(1000)), false));
    for (const method of ['DESCRIBE', 'SETUP', 'SETUP']) {
      const header = client.authorize(method, 'rtsp://h/cam');
      assert.deepEqual(server.verify(header, method, 'rtsp://h/cam', 2000), { status: 'ok', user: 'admin' });
    }
    const wrong = new ClientAuth({ user: 'admin', password: 'other' });
    wrong.challenge(parseChallenges(server.challenges(1000)), false);
    assert.equal(server.verify(wrong.authorize('PLAY', 'rtsp://h/cam'), 'PLAY', 'rtsp://h/cam', 2000).status, 'wrong');
    const unknown = new ClientAuth({ user: 'root', password: '' });
    unknown.challenge(parseChallenges(server.challenges(1000)), false);
    assert.equal(
      server.verify(unknown.authorize('PLAY', 'rtsp://h/cam'), 'PLAY', 'rtsp://h/cam', 2000).status,
      'wrong',
    );
  });
}

test('a digest is good for its method and URL only, and VLC may leave the track out of its URL', () => {
  const server = new ServerAuth({ realm: 'r', password: () => CAMERA.password });
  const client = new ClientAuth(CAMERA);
  client.challenge(parseChallenges(server.challenges(0)), false);
  const header = client.authorize('SETUP', 'rtsp://h/cam/');
  assert.equal(server.verify(header, 'SETUP', 'rtsp://h/cam/trackID=0', 1).status, 'ok');
  assert.equal(server.verify(header, 'PLAY', 'rtsp://h/cam/', 1).status, 'wrong');
  assert.equal(server.verify(header, 'SETUP', 'rtsp://h/camera2', 1).status, 'wrong');
});

test('an expired or foreign nonce is called stale, and the client then goes on with the new one', () => {
  const server = new ServerAuth({ realm: 'r', password: () => CAMERA.password, nonceLifeMs: 1000 });
  const client = new ClientAuth(CAMERA);
  client.challenge(parseChallenges(server.challenges(0)), false);
  assert.equal(server.verify(client.authorize('PLAY', 'u'), 'PLAY', 'u', 5000).status, 'stale');
  assert.ok(client.challenge(parseChallenges(server.challenges(5000, true)), true));
  assert.equal(server.verify(client.authorize('PLAY', 'u'), 'PLAY', 'u', 5001).status, 'ok');
  const other = new ServerAuth({ realm: 'r', password: () => CAMERA.password });
  assert.equal(other.verify(client.authorize('PLAY', 'u'), 'PLAY', 'u', 5001).status, 'stale');
});

test('a camera that offers Digest but takes only Basic is answered with Basic next, then no more', () => {
  const client = new ClientAuth(CAMERA);
  const offered = parseChallenges(['Digest realm="r",nonce="n"', 'Basic realm="r"']);
  assert.ok(client.challenge(offered, false));
  assert.equal(client.kind, 'digest-md5');
  assert.ok(client.challenge(offered, true));
  assert.equal(client.kind, 'basic');
  client.accepted();
  assert.ok(client.challenge(offered, false), 'a later 401 may be answered');
  assert.equal(client.kind, 'basic');
  assert.equal(client.challenge(offered, true), false);
});

test('no header, an empty one and a foreign scheme all count as missing', () => {
  const server = new ServerAuth({ realm: 'r', password: () => 'p' });
  for (const header of [undefined, '', 'Bearer abc', 'Digest algorithm=SHA-1']) {
    assert.equal(server.verify(header, 'PLAY', 'u', 0).status, 'missing', String(header));
  }
  assert.equal(server.verify('Basic !!!', 'PLAY', 'u', 0).status, 'wrong');
});
