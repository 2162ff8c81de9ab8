import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ANY_AUDIO, ANY_VIDEO, collect, makeTestHub, type TestHub } from '../../../testkit/hub.ts';
import { waitFor } from '../../../testkit/wait.ts';
import { HearthcamError } from '../../core/errors.ts';
import type { Hub } from '../../core/hub.ts';
import { Scope } from '../../core/scope.ts';
import { createProgramSources, type ProgramSettings } from './index.ts';

const FFMPEG = 'ffmpeg -hide_banner -loglevel error -re';
const PICTURE = '-f lavfi -i testsrc2=size=192x108:rate=25';
const SOUND = '-f lavfi -i sine=frequency=500:sample_rate=8000';
const H264 = '-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p';

function start(
  streams: Readonly<Record<string, readonly string[]>>,
  settings: Partial<ProgramSettings> = {},
  lingerMs = 50,
): TestHub {
  const getHub = (): Hub => held.hub;
  const sources = createProgramSources({ environment: process.env, ...settings }, getHub, () => sources);
  const held = makeTestHub({ sources, streams, lingerMs });
  return held;
}

async function failure(source: string, settings: Partial<ProgramSettings> = {}): Promise<HearthcamError> {
  await using all = start({ cam: [source] }, settings);
  try {
    using viewer = await collect(all.hub.require('cam'));
    assert.fail(`it gives ${viewer.consumer.tracks.length} tracks`);
  } catch (error) {
    assert.ok(error instanceof HearthcamError, String(error));
    return error;
  }
}

/** One that has ended and only waits for somebody to take notice (Z) does not count. */
function exists(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('exec:', { timeout: 120_000 }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hearthcam-exec-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Numbers that programs of a test wrote to a file, one a line. */
  async function pids(file: string, count: number): Promise<number[]> {
    return waitFor(
      async () => {
        const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
        return lines.length >= count && lines.map(Number);
      },
      { what: `${count} pids in ${file}` },
    );
  }

  async function script(name: string, text: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${text}\n`);
    await chmod(path, 0o755);
    return path;
  }

  for (const [name, args, video, audio] of [
    ['MPEG-TS', `${PICTURE} ${SOUND} ${H264} -c:a aac -f mpegts`, 'h264', 'aac'],
    ['FLV', `${PICTURE} ${SOUND} ${H264} -c:a pcm_alaw -f flv`, 'h264', 'pcma'],
    ['fragmented MP4', `${PICTURE} ${H264} -movflags empty_moov+frag_keyframe -f mp4`, 'h264', undefined],
    ['H.264', `${PICTURE} ${H264} -f h264`, 'h264', undefined],
    ['MJPEG', `${PICTURE} -c:v mjpeg -f mjpeg`, 'jpeg', undefined],
    ['multipart', `${PICTURE} -c:v mjpeg -f mpjpeg`, 'jpeg', undefined],
    ['ADTS', `${SOUND} -c:a aac -f adts`, undefined, 'aac'],
    ['WAV', `${SOUND} -c:a pcm_mulaw -f wav`, undefined, 'pcmu'],
  ] as const) {
    test(`${name} on the stdout of ffmpeg becomes a stream`, async () => {
      await using all = start({ cam: [`exec:${FFMPEG} ${args} -`] });
      using viewer = await collect(all.hub.require('cam'));
      const codecs = viewer.consumer.tracks.map((track) => track.codec);
      assert.deepEqual(
        codecs,
        [video, audio].filter((codec) => codec !== undefined),
      );
      if (video !== undefined) assert.equal((await viewer.wait('video', 15))[0]?.key, true);
      if (audio !== undefined) await viewer.wait('audio', 8);
      const [producer] = all.hub.require('cam').producers;
      assert.equal(producer?.description?.protocol, 'pipe');
    });
  }

  test('a stream that nobody watches has no program, nor anything that the program has started', async () => {
    const file = join(folder, 'family');
    const family = await script(
      'family.sh',
      `echo $$ >> ${file}; sleep 1000 & echo $! >> ${file}; sh -c 'trap "" TERM; echo $$ >> ${file}; sleep 1000' &
      ${FFMPEG} ${PICTURE} -c:v mjpeg -f mjpeg -`,
    );
    await using all = start({ cam: [`exec:${family}#killtimeout=0.5`] });
    const stream = all.hub.require('cam');
    {
      using viewer = await collect(stream);
      await viewer.wait('video', 3);
      assert.ok((await pids(file, 3)).every(exists));
    }
    const all3 = await pids(file, 3);
    await waitFor(() => !all3.some(exists), { what: 'the end of the program and its children' });
  });

  test('sources that change and a server that ends take their programs along', async () => {
    const file = join(folder, 'change');
    const text = `exec:sh -c 'echo $$ >> ${file}; exec ${FFMPEG} ${PICTURE} -c:v mjpeg -f mjpeg -'`;
    const scope = new Scope('test');
    const all = start({ cam: [text] }, { scope });
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('video', 2);
    const [first = 0] = await pids(file, 1);
    all.hub.set('cam', [`${text}#killtimeout=1`]);
    const [, second = 0] = await pids(file, 2);
    await waitFor(() => !exists(first), { what: 'the end of the first program' });
    await all[Symbol.asyncDispose]();
    await scope.close();
    assert.equal(exists(second), false, 'gone by the time the server says that it has ended');
  });

  test('a program that does not heed its signal is ended by force', async () => {
    const file = join(folder, 'deaf');
    const deaf = await script('deaf.sh', `trap '' TERM INT\necho $$ >> ${file}\nwhile :; do sleep 0.1; done`);
    await using all = start({ cam: [`exec:${deaf}#starttimeout=0.5#killtimeout=0.3`] });
    await assert.rejects(collect(all.hub.require('cam')), { code: 'exec.timeout' });
    const [pid = 0] = await pids(file, 1);
    assert.equal(exists(pid), false);
    assert.equal(all.log.find('debug', /does not end by SIGTERM: ended by force/).length > 0, true);
  });

  test('a program is sent the signal that the owner wants', async () => {
    const file = join(folder, 'signal');
    const polite = await script(
      'polite.sh',
      `trap 'echo $$ >> ${file}; exit 0' INT\n${FFMPEG} ${PICTURE} -c:v mjpeg -f mjpeg - & wait`,
    );
    await using all = start({ cam: [`exec:${polite}#killsignal=2`] });
    {
      using viewer = await collect(all.hub.require('cam'));
      await viewer.wait('video', 2);
    }
    await pids(file, 1);
  });

  test('programs end with a server that is killed', async () => {
    const file = join(folder, 'killed');
    const main = join(folder, 'main.ts');
    const module = new URL('./program.ts', import.meta.url).href;
    const log = new URL('../../../testkit/memory-log.ts', import.meta.url).href;
    await writeFile(
      main,
      `import { Program } from ${JSON.stringify(module)};
       import { MemoryLog } from ${JSON.stringify(log)};
       const words = ['sh', '-c', 'echo $$ >> ${file}; sleep 1000 & echo $! >> ${file}; wait'];
       new Program({ kind: 'exec', words, env: { PATH: process.env['PATH'] ?? '' }, log: new MemoryLog(),
         streamName: 'cam', killSignal: 'SIGTERM', killTimeoutMs: 1000 });
       process.stdout.write('started');
       setInterval(() => {}, 1000);`,
    );
    const server = spawn(process.execPath, [main], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: fileURLToPath(new URL('.', import.meta.url)),
    });
    const started = once(server.stdout, 'data');
    const both = await pids(file, 2);
    await started;
    assert.ok(both.every(exists));
    server.kill('SIGKILL');
    await waitFor(() => !both.some(exists), { what: 'the end of both' });
  });

  test('a program that dies is started again, and viewers stay', async () => {
    const file = join(folder, 'restart');
    await using all = start({
      cam: [`exec:sh -c 'echo $$ >> ${file}; exec ${FFMPEG} ${PICTURE} ${H264} -f mpegts -'`],
    });
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('video', 10);
    const [first = 0] = await pids(file, 1);
    process.kill(first, 'SIGKILL');
    await pids(file, 2);
    const had = viewer.of('video').length;
    await viewer.wait('video', had + 10);
    assert.equal(viewer.ended(), undefined);
    assert.equal(all.log.find('warn', /exec: sh was ended by SIGKILL/).length, 1);
  });

  test('a program that reads a file as fast as it can is held back', async () => {
    await using all = start({
      cam: [
        `exec:ffmpeg -hide_banner -loglevel error ${PICTURE} ${H264} -b:v 4M -minrate 4M -maxrate 4M -bufsize 1M -f mpegts -`,
      ],
    });
    const startedMs = performance.now();
    using viewer = await collect(all.hub.require('cam'));
    await viewer.wait('video', 250);
    await waitFor(() => performance.now() - startedMs > 4_000);
    const seconds = viewer.of('video').length / 25;
    assert.ok(seconds < (performance.now() - startedMs) / 1000 + 12, `${seconds} s of pictures`);
    const had = viewer.of('video').length;
    await viewer.wait('video', had + 20);
  });

  for (const [name, source, code, text] of [
    ['writes garbage', "exec:sh -c 'yes garbage'", 'exec.format', /sh writes something that begins with "garbage/],
    ['writes a little garbage', 'exec:echo hello', 'exec.format', /echo writes something that begins with "hello/],
    ['writes raw pictures', `exec:${FFMPEG} ${PICTURE} -f yuv4mpegpipe -`, 'exec.raw', /uncompressed pictures \(y4m\)/],
    ['writes nothing', 'exec:sleep 1000#starttimeout=0.5', 'exec.timeout', /sleep gave no media within 0\.5 s/],
    [
      'fails at once',
      "exec:sh -c 'echo first >&2; echo the camera is on fire >&2; exit 3'",
      'program.ended',
      /sh ended with code 3 before its media was there: first \/ the camera is on fire/,
    ],
    ['does not find its input', 'exec:ffmpeg -i /nowhere.mp4 -f mpegts -', 'program.ended', /code .*\/nowhere\.mp4/],
    ['ends without a word', 'exec:true', 'program.ended', /true ended with code 0 before its media was there$/],
    ['is not there', 'exec:no-such-program -x', 'program.start', /there is no such program/],
    ['closes its output and stays', "exec:sh -c 'exec >&-; sleep 1000'", 'program.ended', /sh closed its output/],
  ] as const) {
    test(`a program that ${name} is told of in words`, async () => {
      const error = await failure(source);
      assert.equal(error.code, code);
      assert.match(error.message, text);
    });
  }

  test('only programs on the list are run', async () => {
    await using all = start({}, { allowed: { exec: ['ffmpeg'], echo: [] } });
    assert.throws(() => all.hub.set('a', ['exec:sh -c true']), { code: 'program.denied', status: 403 });
    assert.throws(() => all.hub.set('a', ['exec:/usr/bin/ffmpeg -version']), { code: 'program.denied' });
    assert.throws(() => all.hub.set('a', ['echo:ffmpeg']), { code: 'program.denied' });
    all.hub.set('a', ['exec:ffmpeg -version']);
  });

  test('passwords in the variables of the server are not given to programs', async () => {
    const environment = { ...process.env, CAM_PASSWORD: 'hunter22', LC_TEST: 'kept' };
    const error = await failure('exec:sh -c \'echo "<$CAM_PASSWORD$LC_TEST>" >&2; exit 1\'', { environment });
    assert.match(error.message, /<kept>$/);
  });

  test('what a program says is in the log at debug, and does not flood it', async () => {
    await using all = start({ cam: ["exec:sh -c 'for i in 1 2 3 4 5 6 7 8 9; do echo frame $i >&2; done; exit 1'"] });
    await assert.rejects(collect(all.hub.require('cam')));
    assert.equal(all.log.find('debug', /exec: sh: frame/).length, 1);
  });

  test('talking to a program is refused in words', async () => {
    await using all = start({});
    assert.throws(() => all.hub.set('a', ['exec:ffplay -#backchannel=1']), /talking to a program/);
  });

  test('wants that the program has are met', async () => {
    await using all = start({ cam: [`exec:${FFMPEG} ${PICTURE} ${SOUND} ${H264} -c:a aac -f mpegts -#media=audio`] });
    using viewer = await collect(all.hub.require('cam'), [ANY_VIDEO, ANY_AUDIO]);
    assert.deepEqual(
      viewer.consumer.tracks.map((track) => track.codec),
      ['aac'],
    );
  });
});
