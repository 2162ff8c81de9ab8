import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeTestHub } from '../../testkit/hub.ts';
import { audioFormat, scriptedSource } from '../../testkit/scripted-source.ts';
import { type Loudspeaker, loudspeaker, PCMA_TALK } from '../../testkit/talk.ts';
import { waitFor } from '../../testkit/wait.ts';
import type { HearthcamError } from './errors.ts';
import { parseSourceSpec, type SourceSink } from './source.ts';
import type { Stream } from './stream.ts';
import type { TalkSession } from './talk-session.ts';

interface Voice {
  readonly stream: Stream;
  say(text: string): void;
  stop(): Promise<void>;
}

/** Somebody with a microphone. */
async function voiceFor(camera: Stream): Promise<Voice> {
  const stream = camera.talk.makeVoice();
  let given: SourceSink | undefined;
  let ticks = 0;
  await stream.publish(parseSourceSpec('test:microphone'), {
    name: 'microphone',
    schemes: [],
    run: ({ signal }, sink) => {
      const format = audioFormat();
      sink.describe({
        tracks: [{ kind: 'audio', codec: 'pcma', clockRateHz: 8_000, format }],
        formatName: 'test',
        protocol: 'test',
        remoteAddr: '',
        sharedClock: true,
      });
      given = sink;
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  });
  return {
    stream,
    say: (text) => {
      ticks += 160;
      given?.unit({ track: 0, format: audioFormat(), ticks, key: true, data: Buffer.from(text) });
      given?.flush();
    },
    stop: () => stream.close(),
  };
}

function setUp(speaker: Loudspeaker) {
  const source = scriptedSource('cam');
  const hub = makeTestHub({
    sources: [{ ...source.module, talk: () => speaker.talk() }],
    streams: { cam: ['cam:1'], mute: [] },
  });
  const camera = hub.hub.require('cam');
  const open = (voice: Voice, live = true, onEnd?: (reason: HearthcamError) => void): Promise<TalkSession> =>
    camera.talk.open({
      formatName: 'talk',
      protocol: 'test',
      remoteAddr: '192.0.2.7:1',
      voice: voice.stream,
      live,
      ...(onEnd === undefined ? {} : { onEnd }),
    });
  return { hub, camera, source, open, [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose]() };
}

const heard = (speaker: Loudspeaker, call: number): string =>
  (speaker.calls[call]?.units ?? []).map(({ data }) => data.toString()).join(' ');

describe('speaking to a camera', () => {
  test('what is said arrives at the camera, and its picture is not connected for that', async () => {
    const speaker = loudspeaker();
    await using run = setUp(speaker);
    const voice = await voiceFor(run.camera);
    const session = await run.open(voice);
    voice.say('good');
    voice.say('night');
    assert.equal(heard(speaker, 0), 'good night');
    assert.deepEqual(speaker.calls[0]?.codec, PCMA_TALK);
    assert.equal(run.source.connections.length, 0);
    session.close();
    await session.gone;
    assert.equal(speaker.calls[0]?.disposed, true);
    await voice.stop();
  });

  test('one at a time: a second one is told that somebody speaks, and is let in when they have finished', async () => {
    const speaker = loudspeaker();
    await using run = setUp(speaker);
    const [mother, father] = [await voiceFor(run.camera), await voiceFor(run.camera)];
    const first = await run.open(mother);
    await assert.rejects(run.open(father), { code: 'talk.busy', status: 409 });
    await assert.rejects(run.open(father, false), { code: 'talk.busy' });
    mother.say('still');
    first.close();
    const second = await run.open(father);
    father.say('me');
    assert.equal(heard(speaker, 0), 'still');
    assert.equal(heard(speaker, 1), 'me');
    second.close();
    await Promise.all([mother.stop(), father.stop()]);
  });

  test('what is played gives way to somebody who speaks, and to what is played next', async () => {
    const speaker = loudspeaker();
    await using run = setUp(speaker);
    const [song, next, mother] = [await voiceFor(run.camera), await voiceFor(run.camera), await voiceFor(run.camera)];
    const ended: string[] = [];
    await run.open(song, false, (reason) => ended.push(reason.message));
    await run.open(next, false, (reason) => ended.push(reason.message));
    const session = await run.open(mother);
    assert.deepEqual(ended, ['something else is played to "cam"', 'somebody speaks to "cam"']);
    mother.say('hush');
    song.say('la');
    assert.equal(heard(speaker, 2), 'hush');
    session.close();
  });

  test('a camera that drops out in mid-sentence is called again, and the rest arrives', async () => {
    const speaker = loudspeaker([PCMA_TALK], (call) => (call === 2 ? new Error('away') : undefined));
    await using run = setUp(speaker);
    const voice = await voiceFor(run.camera);
    const session = await run.open(voice);
    voice.say('one');
    speaker.calls[0]?.lose();
    await waitFor(() => speaker.calls.length === 2, { what: 'another call' });
    voice.say('two');
    assert.equal(heard(speaker, 1), 'two');
    session.close();
  });

  test('a stream that is removed ends it', async () => {
    const speaker = loudspeaker();
    await using run = setUp(speaker);
    const voice = await voiceFor(run.camera);
    let ended: HearthcamError | undefined;
    await run.open(voice, true, (reason) => {
      ended = reason;
    });
    await run.hub.hub.remove('cam');
    assert.equal(ended?.code, 'stream.removed');
    assert.equal(speaker.calls[0]?.disposed, true);
  });

  test('a camera without a loudspeaker is asked once, and nobody else afterwards', async () => {
    let asked = 0;
    const speaker = loudspeaker([], () => void asked++);
    await using run = setUp(speaker);
    assert.deepEqual(await run.camera.talk.codecs(), []);
    assert.deepEqual(await run.camera.talk.codecs(), []);
    const voice = await voiceFor(run.camera);
    await assert.rejects(run.open(voice), { code: 'talk.none', status: 500, message: "can't find consumer" });
    await assert.rejects(run.open(voice), { code: 'talk.none' }, 'the way is free again');
    assert.equal(asked, 1);
    assert.equal(run.source.connections.length, 0);
  });

  test('a camera that could not be asked is called all the same, and says why it is away', async () => {
    const speaker = loudspeaker([PCMA_TALK], (call) => (call < 3 ? new Error('it is off') : undefined));
    await using run = setUp(speaker);
    assert.deepEqual(await run.camera.talk.codecs(), []);
    await assert.rejects(run.camera.talk.requireCodecs(), { code: 'talk.call', status: 502 });
    const voice = await voiceFor(run.camera);
    await assert.rejects(run.open(voice), /can't be spoken to/);
    const session = await run.open(voice);
    voice.say('there');
    assert.equal(heard(speaker, 0), 'there');
    session.close();
  });

  test('what can’t be made into what the camera takes is refused with the reason', async () => {
    const speaker = loudspeaker([{ ...PCMA_TALK, sampleRateHz: 16_000, clockRateHz: 16_000 }]);
    await using run = setUp(speaker);
    const voice = await voiceFor(run.camera);
    // This hub has nothing that makes sound.
    await assert.rejects(run.open(voice), { code: 'stream.codecs' });
    assert.equal(run.camera.talk.session?.closed ?? true, true);
  });
});
