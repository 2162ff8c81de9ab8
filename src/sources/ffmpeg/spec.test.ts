import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HearthcamError } from '../../core/errors.ts';
import { parseSourceSpec } from '../../core/source.ts';
import type { AudioTarget, VideoTarget } from '../../core/targets.ts';
import { type FfmpegTemplates, parseFfmpegSpec } from './spec.ts';

const VIDEO = { copy: { kind: 'video', codecs: 'any' } } as const;
const AUDIO = { copy: { kind: 'audio', codecs: 'any' } } as const;
const video = (codec: VideoTarget['codec'], over: Partial<VideoTarget> = {}) => ({
  make: { kind: 'video', codec, ...over },
});
const audio = (codec: AudioTarget['codec'], over: Partial<AudioTarget> = {}) => ({
  make: { kind: 'audio', codec, ...over },
});
const h264 = (over: Partial<VideoTarget>) => [video('h264', over)];

/** go2rtc's own text for H.264, and what people write into theirs. */
const TEMPLATES: FfmpegTemplates = {
  h264: '-c:v libx264 -g 50 -profile:v high -level:v 4.1 -preset:v superfast -tune:v zerolatency -pix_fmt:v yuv420p',
  small: '-codec:v h264_vaapi -b:v 700k -maxrate 900k -bufsize 2M -s 640x360 -r 10 -an',
  turned: '-c:v libx265 -vf "transpose=1,scale=360:640"',
  'opus/16000': '-c:a libopus -ar:a 16000 -ac:a 1 -application:a lowdelay -min_comp 0 -b:a 24k',
  'camera/udp': '-rtsp_transport udp -fflags nobuffer -flags low_delay -i {input}',
  tiny: '-c:v libx264 -crf 40',
  box: '-c:v libx264 -vf drawbox=0:0',
};

const ACCEPTED: readonly (readonly [text: string, tracks: readonly object[]])[] = [
  ['front', [VIDEO, AUDIO]],
  ['front#video=copy#audio=copy', [VIDEO, AUDIO]],
  ['front#audio=copy', [AUDIO]],
  ['front#audio=auto', [AUDIO]],
  ['front#audio=opus#query=log_level=debug#async', [audio('opus')]],
  ['front#audio=opus/16000', [audio('opus', { sampleRateHz: 16_000 })]],
  ['front#audio=aac/48000/2', [audio('aac', { sampleRateHz: 48_000, channels: 2 })]],
  ['front#audio=pcm/8000#audio=pcml', [audio('l16', { sampleRateHz: 8000 }), audio('l16')]],
  [
    'front#audio=pcma#audio=pcmu#audio=mp3#audio=flac#audio=g722',
    ['pcma', 'pcmu', 'mp3', 'flac', 'g722'].map((one) => audio(one as AudioTarget['codec'])),
  ],
  ['front#video=copy#audio=copy#audio=opus', [VIDEO, AUDIO, audio('opus')]],
  ['front#video=h264#video=h264', h264({})],
  ['front#video=hevc#audio=copy', [video('h265'), AUDIO]],
  ['front#video=mjpeg#fps=2#gop=5#bitrate=2M', [video('jpeg', { fps: 2 })]],
  ['front#video=h264#width=640', h264({ width: 640 })],
  ['front#width=640', [video('h264', { width: 640 }), AUDIO]],
  ['front#video=h264#width=640#height=-1', h264({ width: 640 })],
  ['front#video=h264#rotate=90', h264({ rotate: 90 })],
  ['front#video=h264#rotate=-90', h264({ rotate: 270 })],
  ['front#video=h264#rotate=0', h264({})],
  ['front#video=h264#bitrate=800k#fps=12.5#gop=50', h264({ bitrateKbps: 800, fps: 12.5, gop: 50 })],
  ['front#video=h264#bitrate=2M', h264({ bitrateKbps: 2000 })],
  ['front#video=h264#bitrate=800', h264({ bitrateKbps: 800 })],
  ['front#video=h264#bitrate=1500000', h264({ bitrateKbps: 1500 })],
  ['front#video=h264#hardware', h264({ hardware: 'auto' })],
  ['front#video=h264#hardware=vaapi', h264({ hardware: 'vaapi' })],
  ['front#video=h265/cuda', [video('h265', { hardware: 'cuda' })]],
  ['front#video=copy#hardware=vaapi', [VIDEO]],
  // Home Assistant's eight orientations.
  ['front#video=h264#audio=copy#raw=-vf hflip', [...h264({ flip: 'horizontal' }), AUDIO]],
  ['front#video=h264#audio=copy#rotate=180', [...h264({ rotate: 180 }), AUDIO]],
  ['front#video=h264#audio=copy#raw=-vf vflip', [...h264({ flip: 'vertical' }), AUDIO]],
  ['front#video=h264#audio=copy#raw=-vf transpose=2,vflip', [...h264({ rotate: 90, flip: 'horizontal' }), AUDIO]],
  ['front#video=h264#raw=-vf transpose=1', h264({ rotate: 90 })],
  ['front#video=h264#raw=-vf transpose=0', h264({ rotate: 90, flip: 'horizontal' })],
  ['front#video=h264#raw=-vf transpose=3', h264({ rotate: 90, flip: 'vertical' })],
  ['front#video=h264#raw=-vf hflip,vflip', h264({ rotate: 180 })],
  ['front#video=h264#raw=-vf transpose=clock,transpose=cclock', h264({})],
  ['front#video=h264#rotate=90#raw=-vf hflip', h264({ rotate: 90, flip: 'horizontal' })],
  ['front#video=h264#raw=-vf hflip -r 10 -an', h264({ flip: 'horizontal', fps: 10 })],
  ['front#raw=-vf hflip -an', h264({ flip: 'horizontal' })],
  ['front#video=h264#raw=-b:v 1M -g 30', h264({ bitrateKbps: 1000, gop: 30 })],
  ['front#video=h264#audio=copy#raw=-an', h264({})],
  ['front#video=-c:v libx264 -s 320x240', h264({ width: 320, height: 240 })],
];

describe('what is written behind the # is what is made', () => {
  for (const [text, tracks] of ACCEPTED) {
    test(`ffmpeg:${text}`, () => {
      const parsed = parseFfmpegSpec(parseSourceSpec(`ffmpeg:${text}`));
      assert.deepEqual(parsed.tracks, tracks);
      assert.equal(parsed.input.spec.text, 'front');
    });
  }
});

describe('templates of the configuration are honoured', () => {
  for (const [text, tracks] of [
    ['front#video=h264', h264({ gop: 50 })],
    ['front#video=h264#gop=10', h264({ gop: 10 })],
    ['front#video=small', [video('h264', { width: 640, height: 360, fps: 10, bitrateKbps: 700, hardware: 'vaapi' })]],
    // It scales the turned picture; a target scales first.
    ['front#video=turned', [video('h265', { width: 640, height: 360, rotate: 90 })]],
    ['front#video=turned#raw=-vf transpose=2', [video('h265', { width: 640, height: 360 })]],
    ['front#audio=opus/16000', [audio('opus', { sampleRateHz: 16_000, channels: 1, bitrateKbps: 24 })]],
  ] as const) {
    test(`ffmpeg:${text}`, () => {
      assert.deepEqual(parseFfmpegSpec(parseSourceSpec(`ffmpeg:${text}`), TEMPLATES).tracks, tracks);
    });
  }

  test('one for the input says how it is connected', () => {
    const { input } = parseFfmpegSpec(parseSourceSpec('ffmpeg:rtsp://cam/1#input=camera/udp'), TEMPLATES);
    assert.equal(input.spec.text, 'rtsp://cam/1#transport=udp');
  });
});

describe('inputs are told apart', () => {
  for (const [text, kind, input, loop] of [
    ['front', 'stream', 'front', false],
    ['front?video&audio', 'stream', 'front?video&audio', false],
    ['rtsp://u:p@cam/1#timeout=9', 'source', 'rtsp://u:p@cam/1#timeout=9', false],
    ['rtsp://cam/1#input=rtsp/udp', 'source', 'rtsp://cam/1#transport=udp', false],
    ['http://cam/a.mp4', 'source', 'http://cam/a.mp4', false],
    ['exec:ffmpeg -i x -f mpegts -', 'source', 'exec:ffmpeg -i x -f mpegts -', false],
    ['/media/a.mp4#loop', 'demuxer', '/media/a.mp4', true],
    ['./a.bin', 'demuxer', './a.bin', false],
    ['a.MKV', 'demuxer', 'a.MKV', false],
    ['file:///media/a.mp4#input=-re -stream_loop -1 -i {input}', 'demuxer', 'file:///media/a.mp4', true],
    ['rtmp://host/live/1', 'demuxer', 'rtmp://host/live/1', false],
    ['udp://239.0.0.1:5000', 'demuxer', 'udp://239.0.0.1:5000', false],
  ] as const) {
    test(`ffmpeg:${text} is a ${kind}`, () => {
      const parsed = parseFfmpegSpec(parseSourceSpec(`ffmpeg:${text}`)).input;
      assert.deepEqual([parsed.kind, parsed.spec.text, parsed.loop], [kind, input, loop]);
    });
  }
});

describe('what can not be is refused with 400 and the part that is to blame', () => {
  for (const [text, blamed] of [
    ['', /no input/],
    ['#audio=opus', /no input/],
    ['front#video=libsomething', /#video=libsomething: there is no such codec/],
    ['front#video=raw', /#video=raw/],
    ['front#audio=ogg', /#audio=ogg/],
    ['front#audio=opus/44100', /opus has no rate of 44100 Hz, only 8000/],
    ['front#audio=aac/0', /#audio=aac\/0 must be/],
    ['front#audio=aac/48000/7', /channels from 1 to 2, not "7"/],
    ['front#video=h264#width=0#height=0', /#width must be a whole number of pixels from 16 to 8192, not "0"/],
    ['front#video=h264#width=100000#height=100000', /#width must be/],
    ['front#video=h264#width=8192#height=8192', /8192x8192 is too large/],
    ['front#video=h264#rotate=45', /#rotate must be 90/],
    ['front#video=h264#bitrate=much', /#bitrate must be/],
    ['front#video=h264#bitrate=0', /#bitrate must be/],
    ['front#video=h264#fps=0', /#fps must be/],
    ['front#video=h264#gop=0', /#gop must be/],
    ['front#video=h264#hardware=voodoo', /#hardware: there is no hardware "voodoo"/],
    ['front#video=h264#hardware=videotoolbox', /no hardware "videotoolbox"/],
    ['front#video=h264#drawtext=x', /#drawtext/],
    ['front#video=h264#raw=-vf drawbox', /the filter "drawbox"/],
    ['front#video=h264#raw=-vf hflip,crop=1:1', /the filter "crop=1:1"/],
    ['front#video=h264#raw=-vf transpose=7', /the filter "transpose=7"/],
    ['front#video=h264#raw=-vf scale=iw/2:-1', /scale \(width\)/],
    ['front#video=h264#raw=-f rtsp rtsp://elsewhere/', /#raw: -f can't be done here/],
    ['front#video=h264#raw=rtsp://elsewhere/', /#raw: "rtsp:\/\/elsewhere\/" is no argument/],
    ['front#video=h264#raw=-r', /#raw: -r needs a value/],
    ['front#video=h264#raw=-bf 2', /never made out of order/],
    ['front#video=copy#width=640', /#video=copy leaves the picture as it is/],
    ['front#video=copy#raw=-vf hflip', /#video=copy leaves the picture as it is/],
    ['front#video=copy#raw=-vn', /nothing is left/],
    ['front#audio=copy#raw=-an', /nothing is left/],
    ['front#input=elsewhere', /no template "elsewhere"/],
    ['front#input=-f lavfi -i {input}', /#input: -f can't be done here/],
    ['front#input=-i /etc/passwd', /-i must be followed by \{input\}/],
    ['device?video=0', /kind "device\?"/],
    ['virtual?video=testsrc', /kind "virtual\?"/],
    ['tts?text=hello', /kind "tts\?"/],
    ['front#video=tiny', /the template tiny: -crf can't be done here/],
    ['front#video=box', /the filter "drawbox=0:0"/],
    ['front#video=__proto__', /no such codec/],
    ['front#audio=constructor', /no such codec/],
  ] as const) {
    test(`ffmpeg:${text}`, () => {
      assert.throws(
        () => parseFfmpegSpec(parseSourceSpec(`ffmpeg:${text}`), TEMPLATES),
        (error: unknown) => {
          assert.ok(error instanceof HearthcamError);
          assert.deepEqual([error.code, error.status, error.permanent], ['source.ffmpeg', 400, true]);
          assert.match(error.message, blamed);
          return true;
        },
      );
    });
  }
});

test('#audio=auto lets a stream make every sound of its own', () => {
  const { recipe } = parseFfmpegSpec(parseSourceSpec('ffmpeg:front#audio=auto'));
  assert.ok(['opus', 'aac', 'pcma'].every((codec) => recipe.some((target) => target.codec === codec)));
});
