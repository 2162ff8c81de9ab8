import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startTestSimulator } from '../../testkit/simulator.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { RtspMessage } from '../wire/rtsp/message.ts';
import { RtspParser } from '../wire/rtsp/parser.ts';
import { type FrameMark, readFrameMark } from './mark.ts';
import { demoConfig, type SimulatedStreamOptions } from './simulator.ts';

const run = promisify(execFile);

/** Small and with a key frame each second, so that tests are quick. */
const small: SimulatedStreamOptions = { width: 320, height: 180, gop: 15 };

async function probe(url: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-of', 'csv=p=0', '-analyzeduration', '500000', ...args, url],
    {
      timeout: 30_000,
    },
  );
  return stdout.split('\n').filter((line) => line !== '');
}

/** A viewer: ffmpeg decodes to gray pictures, whose marks are read as they come. */
function watch(url: string, width: number, height: number, ...options: string[]) {
  const child = spawn(
    'ffmpeg',
    [
      '-v',
      'warning',
      '-rtsp_transport',
      'tcp',
      ...options,
      '-i',
      url,
      '-map',
      '0:v',
      '-fps_mode',
      'passthrough',
    ].concat(['-f', 'rawvideo', '-pix_fmt', 'gray', '-']),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const seen: { mark: FrameMark | null; atMs: number }[] = [];
  let rest = Buffer.alloc(0);
  let text = '';
  let ended = false;
  child.stdout.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= width * height; rest = rest.subarray(width * height)) {
      const mark = readFrameMark({ data: rest.subarray(0, width * height), width, height, format: 'gray' });
      seen.push({ mark, atMs: Date.now() });
    }
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void exited.then(() => {
    ended = true;
  });
  return {
    seen,
    text: () => text,
    ended: () => ended,
    wait: (count: number) => waitFor(() => seen.length >= count, { timeoutMs: 30_000, what: `${count} pictures` }),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** What a server answers to one RTSP request. */
function ask(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer')));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      const end = text.indexOf('\r\n\r\n');
      if (end < 0 || text.length < end + 4 + length) return;
      socket.destroy();
      resolve(text);
    });
    socket.write(`DESCRIBE rtsp://127.0.0.1:${port}/${path} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n`);
  });
}

test('two cameras with main and sub stream are there at once, and nothing is drawn before somebody looks', async () => {
  await using sim = await startTestSimulator();
  assert.equal(sim.simulator.makerPid, undefined);
  const { port } = sim.simulator;
  assert.deepEqual(demoConfig(sim.simulator), {
    cameras: {
      nursery: { main: `rtsp://127.0.0.1:${port}/nursery/main`, sub: `rtsp://127.0.0.1:${port}/nursery/sub` },
      garden: { main: `rtsp://127.0.0.1:${port}/garden/main`, sub: `rtsp://127.0.0.1:${port}/garden/sub` },
    },
  });
  const fields = ['-show_entries', 'stream=codec_name,width,height,r_frame_rate,sample_rate'];
  assert.deepEqual(await probe(sim.url('nursery'), ...fields), ['h264,1280,720,15/1', 'aac,16000,0/0']);
  assert.deepEqual(await probe(sim.url('garden', 'sub'), '-rtsp_transport', 'udp', ...fields), [
    'h264,640,360,15/1',
    'aac,16000,0/0',
  ]);
  assert.ok(sim.simulator.makerPid !== undefined);
  assert.deepEqual(sim.log.find('warn', /./), []);
});

const forms: readonly [SimulatedStreamOptions, string[]][] = [
  [{ codec: 'h265', audio: 'pcma', fps: 10 }, ['hevc,320,180,10/1', 'pcm_alaw,8000,0/0']],
  [{ audio: 'opus', bFrames: 2 }, ['h264,320,180,15/1', 'opus,48000,0/0']],
  [{ audio: 'none', fps: 20 }, ['h264,320,180,20/1']],
];
test('codecs, sizes and rates are as configured', async () => {
  await using sim = await startTestSimulator({
    cameras: forms.map(([main], index) => ({ name: `c${index}`, main: { ...small, ...main }, sub: false })),
  });
  for (const [index, [, expected]] of forms.entries()) {
    const fields = ['-show_entries', 'stream=codec_name,width,height,r_frame_rate,sample_rate'];
    assert.deepEqual(await probe(sim.url(`c${index}`), ...fields), expected);
  }
});

test('a viewer sees every picture, in time, and key frames at the configured distance', async () => {
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: small }] });
  await using viewer = watch(sim.url('cam'), 320, 180);
  await viewer.wait(25);
  const marks = viewer.seen.map(({ mark }) => mark);
  const [first] = marks;
  assert.ok(first !== undefined && first !== null);
  assert.deepEqual(
    marks.map((mark) => mark?.counter),
    marks.map((_mark, index) => first.counter + index),
  );
  const lateMs = viewer.seen.map(({ mark, atMs }) => atMs - (mark?.capturedAtMs ?? 0));
  assert.ok(Math.min(...lateMs) > -5 && Math.min(...lateMs) < 1_000, `pictures were ${lateMs} ms old`);
  const flags = await probe(
    sim.url('cam'),
    '-select_streams',
    'v',
    '-show_entries',
    'packet=flags',
    '-read_intervals',
    '%+3',
  );
  const keys = flags.flatMap((flag, index) => (flag.startsWith('K') ? [index] : []));
  assert.ok(keys.length >= 2, `key frames at ${keys}`);
  for (const [index, at] of keys.entries()) assert.equal(at - (keys[0] ?? 0), index * 15);
});

test('drop: connections are closed, the port refuses for a while, then the camera is back', async () => {
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: small }] });
  await using viewer = watch(sim.url('cam'), 320, 180);
  await viewer.wait(3);
  assert.equal(sim.simulator.connections, 1);
  sim.simulator.drop(600);
  assert.equal(sim.simulator.connections, 0);
  await assert.rejects(ask(sim.simulator.port, 'cam/main'), { code: 'ECONNREFUSED' });
  await waitFor(() => viewer.ended(), { what: 'the viewer to notice' });
  const answer = await waitFor(() => ask(sim.simulator.port, 'cam/main').catch(() => ''), { everyMs: 50 });
  assert.match(answer, /^RTSP\/1\.0 200 OK/);
});

test('stall: nothing comes for a while, then the stream goes on without what it missed', async () => {
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: small }] });
  await using viewer = watch(sim.url('cam'), 320, 180);
  await viewer.wait(20);
  const before = viewer.seen.at(-1)?.mark?.counter ?? 0;
  sim.simulator.stall(1_500);
  await viewer.wait(viewer.seen.length + 20);
  const counters = viewer.seen.map(({ mark }) => mark?.counter ?? -1).filter((counter) => counter > before);
  const gaps = counters.map((counter, index) => counter - (counters[index - 1] ?? before));
  assert.ok(Math.max(...gaps) >= 15, `gaps: ${gaps}`);
  assert.equal(viewer.ended(), false);
});

interface SeenPacket {
  readonly sequence: number;
  readonly ticks: number;
}

/** Plays the first track of a stream over TCP and looks at its RTP packets. */
async function listen(port: number, path: string) {
  const packets: SeenPacket[] = [];
  const socket = connect(port, '127.0.0.1');
  const answers: RtspMessage[] = [];
  const parser = new RtspParser({
    onMessage: (message) => void answers.push(message),
    onInterleaved: (channel, data, start) => {
      if (channel === 0) packets.push({ sequence: data.readUInt16BE(start + 2), ticks: data.readUInt32BE(start + 4) });
    },
  });
  socket.on('data', (chunk) => parser.push(chunk));
  const url = `rtsp://127.0.0.1:${port}/${path}`;
  let cseq = 0;
  const call = async (method: string, at: string, more = ''): Promise<RtspMessage> => {
    socket.write(`${method} ${at} RTSP/1.0\r\nCSeq: ${++cseq}\r\n${more}\r\n`);
    const count = cseq;
    return waitFor(() => answers[count - 1], { timeoutMs: 20_000, what: `an answer to ${method}` });
  };
  const described = await call('DESCRIBE', url, 'Accept: application/sdp\r\n');
  const control = /^m=.*?^a=control:(\S+)/ms.exec(described.body.toString())?.[1] ?? '';
  const track = control.includes('://') ? control : `${url}/${control}`;
  const setup = await call('SETUP', track, 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n');
  const session = setup.headers.get('session')?.split(';')[0] ?? '';
  await call('PLAY', url, `Session: ${session}\r\n`);
  return { packets, [Symbol.dispose]: () => void socket.destroy() };
}

test('loss: about so many packets are missing as were asked for', async () => {
  const cameras = [{ name: 'cam', main: { ...small, audio: 'none' as const } }];
  await using sim = await startTestSimulator({ cameras, faults: { lossPercent: 20 } });
  using viewer = await listen(sim.simulator.port, 'cam/main');
  const { packets } = viewer;
  await waitFor(() => packets.length >= 60, { timeoutMs: 20_000, what: '60 packets' });
  const sent = (((packets.at(-1)?.sequence ?? 0) - (packets[0]?.sequence ?? 0)) & 0xffff) + 1;
  const lost = sent - packets.length;
  assert.ok(lost > sent * 0.05 && lost < sent * 0.4, `${lost} of ${sent} packets were lost`);
});

test('jump: time stamps move, the connection stays', async () => {
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: { ...small, audio: 'none' } }] });
  using viewer = await listen(sim.simulator.port, 'cam/main');
  const { packets } = viewer;
  await waitFor(() => packets.length >= 10, { timeoutMs: 20_000, what: '10 packets' });
  sim.simulator.jump(100);
  const jumps = (): number[] =>
    packets
      .map(({ ticks }, index) => ((ticks - (packets[index - 1]?.ticks ?? ticks)) >>> 0) / 90_000)
      .filter((seconds) => seconds > 2);
  const [seconds = 0] = await waitFor(() => (jumps().length > 0 ? jumps() : undefined), { what: 'the jump' });
  assert.ok(Math.abs(seconds - 100) < 1, `a jump of ${seconds} s`);
});

for (const paramSets of ['sdp', 'inband'] as const) {
  test(`parameter sets only ${paramSets === 'sdp' ? 'in the SDP' : 'in band'}: the picture can be decoded`, async () => {
    await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: small }], faults: { paramSets } });
    const sdp = await ask(sim.simulator.port, 'cam/main');
    assert.equal(/sprop-parameter-sets/.test(sdp), paramSets === 'sdp');
    await using viewer = watch(sim.url('cam'), 320, 180);
    await viewer.wait(3);
    assert.ok(viewer.seen.at(-1)?.mark);
  });
}

test('with credentials, nobody gets in without them', async () => {
  const credentials = { username: 'admin', password: 'p@ss:word' };
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: small }], ...credentials });
  assert.match(await ask(sim.simulator.port, 'cam/main'), /^RTSP\/1\.0 401 /);
  assert.deepEqual(await probe(sim.url('cam'), '-select_streams', 'v', '-show_entries', 'stream=codec_name'), ['h264']);
});

test('the size of a stream can be changed while it is watched', async () => {
  await using sim = await startTestSimulator({ cameras: [{ name: 'cam', main: { ...small, audio: 'none' } }] });
  await using viewer = watch(sim.url('cam'), 320, 180);
  await viewer.wait(3);
  sim.simulator.setResolution('cam', 'main', 640, 480);
  const size = await waitFor(
    async () => {
      const [line] = await probe(sim.url('cam'), '-show_entries', 'stream=width,height');
      return line === '640,480' ? line : undefined;
    },
    { timeoutMs: 20_000, what: 'the new size' },
  );
  assert.equal(size, '640,480');
});

test('what can not be simulated is refused with the reason', async () => {
  await assert.rejects(startTestSimulator({ cameras: [{ name: 'a/b' }] }), { code: 'simulate.name' });
  await assert.rejects(startTestSimulator({ cameras: [{ name: 'a', main: { width: 641 } }] }), {
    code: 'simulate.size',
  });
  await assert.rejects(startTestSimulator({ cameras: [{ name: 'a', main: { bFrames: 9 } }] }), {
    code: 'simulate.plan',
  });
  await using sim = await startTestSimulator({ cameras: [{ name: 'a', sub: false }] });
  assert.throws(() => sim.simulator.setResolution('a', 'sub', 640, 360), { code: 'simulate.unknown' });
  await assert.rejects(startTestSimulator({ port: sim.simulator.port }), { code: 'simulate.listen' });
});
