import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOpenToAll, parseListen, rtspConfig } from './config.ts';

const openRows = [
  { config: {}, open: false },
  { config: { listen: '' }, open: false },
  { config: { listen: '192.168.1.5:8554' }, open: false },
  { config: { listen: ':8554' }, open: true },
  { config: { listen: '0.0.0.0:8554' }, open: true },
  { config: { listen: '[::]:8554' }, open: true },
  { config: { listen: ':8554', username: 'a', password: 'b' }, open: false },
];
for (const { config, open } of openRows) {
  test(`rtsp ${JSON.stringify(config)} is ${open ? '' : 'not '}open to everybody on the network`, () => {
    assert.equal(isOpenToAll(rtspConfig.parse(config)), open);
  });
}

test('an address that is none is refused with an example', () => {
  for (const text of ['8554', 'host', ':70000', ':abc']) {
    assert.throws(() => parseListen(text), /rtsp\.listen is .* expected host:port/, text);
  }
});
