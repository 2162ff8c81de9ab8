import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { collect, makeTestHub, type TestHub } from '../../../testkit/hub.ts';
import { type Clip, clipSource, makeClip, testPicture } from '../../../testkit/mp4-source.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import type { SourceModule } from '../../core/source.ts';
import { createProgramSources } from './index.ts';

describe('echo:', { timeout: 60_000 }, () => {
  let folder: string;
  let clip: Clip;
  let dialled: string[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hearthcam-echo-'));
    clip = await makeClip(testPicture({ gop: 25, seconds: 2 }));
  });
  after(() => rm(folder, { recursive: true }));

  function start(streams: Readonly<Record<string, readonly string[]>>): TestHub {
    dialled = [];
    const camera = clipSource('rtsp', clip).module;
    const rtsp: SourceModule = {
      ...camera,
      validate: (spec) => {
        if (spec.url.includes('bad')) throw new HearthcamError('source.url', 'not an address', { status: 400 });
      },
      run: (request, sink) => {
        dialled.push(request.spec.text);
        return camera.run(request, sink);
      },
    };
    const getHub = (): Hub => held.hub;
    const all: SourceModule[] = [rtsp];
    all.push(...createProgramSources({ environment: process.env }, getHub, () => all));
    const held = makeTestHub({ sources: all, streams });
    return held;
  }

  test('the address that a program writes is the source, and is asked for anew with each connection', async () => {
    const count = join(folder, 'count');
    const path = join(folder, 'address.sh');
    await writeFile(path, `#!/bin/sh\necho x >> ${count}\necho "  rtsp://cam/$1#timeout=3  "\necho second line\n`);
    await chmod(path, 0o755);
    await using all = start({ cam: [`echo:${path} "a b"`] });
    const stream = all.hub.require('cam');
    {
      using viewer = await collect(stream);
      await viewer.wait('video', 3);
    }
    assert.deepEqual(dialled, ['rtsp://cam/a b#timeout=3']);
    all.hub.set('cam', [`echo:${path} c`]);
    using again = await collect(stream);
    await again.wait('video', 3);
    assert.equal(dialled[1], 'rtsp://cam/c#timeout=3');
    assert.equal(await readFile(count, 'utf8'), 'x\nx\n');
  });

  test('a # belongs to the command', async () => {
    await using all = start({ cam: ['echo:printf rtsp://cam/%s 1#media=video'] });
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('video', 1);
    assert.deepEqual(dialled, ['rtsp://cam/1#media=video']);
  });

  for (const [name, source, code, text] of [
    ['that fails', "echo:sh -c 'echo rtsp://cam/1; echo no token >&2; exit 7'", 'program.ended', /code 7: no token/],
    ['that writes nothing', 'echo:true', 'echo.empty', /true wrote nothing/],
    ['that is not there', 'echo:no-such-program', 'program.start', /there is no such program/],
    ['that writes without end', 'echo:yes rtsp://cam/1', 'echo.large', /yes wrote more than 64 KiB/],
    ['that gives a command', 'echo:echo exec:touch /tmp/x', 'echo.scheme', /begins with "exec:", which is not taken/],
    ['that gives a hidden command', 'echo:echo EXEC:ls', 'echo.scheme', /begins with "exec:"/],
    ['that gives another echo', 'echo:echo echo:ls', 'echo.scheme', /begins with "echo:"/],
    ['that gives what nothing reads', 'echo:echo gopher://cam', 'echo.scheme', /begins with "gopher:"/],
    ['that gives a bad address', 'echo:echo rtsp://bad', 'source.url', /not an address/],
  ] as const) {
    test(`a program ${name} is told of in words`, async () => {
      await using all = start({ cam: [source] });
      await assert.rejects(collect(all.hub.require('cam')), (error: unknown) => {
        assert.ok(error instanceof HearthcamError);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, text);
        return true;
      });
      assert.deepEqual(dialled, []);
    });
  }

  test('expr: is refused in words', async () => {
    await using all = start({});
    assert.throws(() => all.hub.set('a', ['expr:1+1']), /scripts in the configuration are not run/);
  });
});
