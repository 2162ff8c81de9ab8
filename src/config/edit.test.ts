import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { deleteEntry, mergeText, setEntry } from './edit.ts';

const FILE = `# my cameras
api:
  listen: ":1984"   # everybody

streams:
  # the porch
  porch: rtsp://u:\${PORCH_PW}@192.0.2.9/s   # tail
  nursery:
    # first
    - rtsp://a   # why a
    # between
    - rtsp://b
  # end of streams

# the log
log: {level: debug}
`;

const rows = [
  {
    name: 'a new stream goes behind the last one',
    text: FILE,
    edit: (text: string) => setEntry(text, 'streams', 'yard', ['rtsp://y', 'ffmpeg:yard#audio=opus']),
    want: FILE.replace('    - rtsp://b\n', '    - rtsp://b\n  yard:\n    - rtsp://y\n    - ffmpeg:yard#audio=opus\n'),
  },
  {
    name: 'a source in a list is replaced, the others keep their comments',
    text: FILE,
    edit: (text: string) => setEntry(text, 'streams', 'nursery', ['rtsp://a', 'rtsp://c']),
    want: FILE.replace('    - rtsp://b\n', '    - rtsp://c\n'),
  },
  {
    name: 'one source becomes a list, its comment stays',
    text: FILE,
    edit: (text: string) => setEntry(text, 'streams', 'porch', ['rtsp://new#x=1']),
    want: FILE.replace(/porch: rtsp.*\n/, 'porch: # tail\n    - rtsp://new#x=1\n'),
  },
  {
    name: 'the same sources leave the file as it is',
    text: FILE,
    edit: (text: string) => setEntry(text, 'streams', 'nursery', ['rtsp://a', 'rtsp://b']),
    want: FILE,
  },
  {
    name: 'a deleted stream takes its lines along, nothing else',
    text: FILE,
    edit: (text: string) => deleteEntry(text, 'streams', 'porch'),
    want: FILE.replace(/ {2}porch: rtsp.*\n/, ''),
  },
  {
    name: 'a stream that is not there is deleted without a change',
    text: FILE,
    edit: (text: string) => deleteEntry(text, 'streams', 'nobody'),
    want: FILE,
  },
  {
    name: 'a section that is missing is appended',
    text: FILE,
    edit: (text: string) => setEntry(text, 'preload', 'porch', 'video&audio'),
    want: `${FILE}preload:\n  porch: video&audio\n`,
  },
  {
    name: 'an empty file',
    text: '',
    edit: (text: string) => setEntry(text, 'streams', 'a', ['rtsp://h/1']),
    want: 'streams:\n  a:\n    - rtsp://h/1\n',
  },
  {
    name: 'a file of comments without a newline at its end',
    text: '# nothing yet',
    edit: (text: string) => setEntry(text, 'streams', 'a', ['rtsp://h/1']),
    want: '# nothing yet\nstreams:\n  a:\n    - rtsp://h/1\n',
  },
  {
    name: 'a section with nothing below it',
    text: 'streams:   # none yet\n\nlog:\n  level: info\n',
    edit: (text: string) => setEntry(text, 'streams', 'a', ['rtsp://h/1']),
    want: 'streams:   # none yet\n  a:\n    - rtsp://h/1\n\nlog:\n  level: info\n',
  },
  {
    name: 'a stream without sources gets one',
    text: 'streams:\n  a:\n  b: rtsp://h/2\n',
    edit: (text: string) => setEntry(text, 'streams', 'a', ['rtsp://h/1']),
    want: 'streams:\n  a:\n    - rtsp://h/1\n  b: rtsp://h/2\n',
  },
  {
    name: 'four spaces and lists at the height of their key',
    text: 'streams:\n    a:\n    - rtsp://h/1\n    - rtsp://h/2',
    edit: (text: string) => setEntry(text, 'streams', 'b', ['x://1']),
    want: 'streams:\n    a:\n    - rtsp://h/1\n    - rtsp://h/2\n    b:\n      - x://1\n',
  },
  {
    name: 'a section in braces is written anew, its comment kept',
    text: `# top\nstreams: {a: "rtsp://u:\${PW}@h/1"} # side\napi:\n  listen: ":1" # port\n`,
    edit: (text: string) => setEntry(text, 'streams', 'b', ['rtsp://h/2']),
    want: `# top\nstreams: {a: "rtsp://u:\${PW}@h/1", b: [rtsp://h/2]} # side\napi:\n  listen: ":1" # port\n`,
  },
  {
    name: 'names and sources that YAML would misread are quoted',
    text: 'streams:\n  a: rtsp://h/1\n',
    edit: (text: string) => setEntry(text, 'streams', '1: #x%20', ['# a: b', 'true']),
    want: 'streams:\n  a: rtsp://h/1\n  "1: #x%20":\n    - "# a: b"\n    - "true"\n',
  },
  {
    name: 'deleting the last stream leaves an empty section',
    text: 'streams:\n  a:\n    - rtsp://h/1\nlog: # l\n  level: info\n',
    edit: (text: string) => deleteEntry(text, 'streams', 'a'),
    want: 'streams:\nlog: # l\n  level: info\n',
  },
  {
    name: 'new sources of a stream that says more keep what it says',
    text: 'streams:\n  cam:\n    # the camera\n    url: rtsp://h/1 # old\n    transcode: never # no\n    renditions: [720p, 360p]\n  b: rtsp://h/2\n',
    edit: (text: string) => setEntry(text, 'streams', 'cam', ['rtsp://h/3', 'ffmpeg:cam#audio=opus']),
    want: 'streams:\n  cam:\n    # the camera\n    url: # old\n      - rtsp://h/3\n      - ffmpeg:cam#audio=opus\n    transcode: never # no\n    renditions: [720p, 360p]\n  b: rtsp://h/2\n',
  },
  {
    name: 'of a list only the source that changed',
    text: 'streams:\n  cam:\n    renditions: [360p]\n    url:\n      - rtsp://h/1 # a\n      - rtsp://h/2 # b\n',
    edit: (text: string) => setEntry(text, 'streams', 'cam', ['rtsp://h/1', 'rtsp://h/3']),
    want: 'streams:\n  cam:\n    renditions: [360p]\n    url:\n      - rtsp://h/1 # a\n      - rtsp://h/3\n',
  },
  {
    name: 'also of one in braces, and nothing else of the file',
    text: '# top\nstreams:\n  cam: {url: rtsp://h/1, transcode: never} # side\n  b:   rtsp://h/2\n',
    edit: (text: string) => setEntry(text, 'streams', 'cam', ['rtsp://h/3?a=1,2']),
    want: '# top\nstreams:\n  cam: {url: ["rtsp://h/3?a=1,2"], transcode: never} # side\n  b:   rtsp://h/2\n',
  },
  {
    name: 'the same sources in a map leave the file as it is',
    text: 'streams: {cam: {url: [rtsp://h/1], transcode: never}}\n',
    edit: (text: string) => setEntry(text, 'streams', 'cam', ['rtsp://h/1']),
    want: 'streams: {cam: {url: [rtsp://h/1], transcode: never}}\n',
  },
  {
    name: 'a stream that others publish to, with a mode of its own, gets a source',
    text: 'streams:\n  phone:\n    url:\n    transcode: auto\n',
    edit: (text: string) => setEntry(text, 'streams', 'phone', ['rtsp://h/1']),
    want: 'streams:\n  phone:\n    url:\n      - rtsp://h/1\n    transcode: auto\n',
  },
  {
    name: 'a patch merges maps, replaces lists, keeps comments and order',
    text: FILE,
    edit: (text: string) =>
      mergeText(text, 'log: {level: trace}\nstreams: {nursery: [rtsp://z]}\nrtsp: {listen: ":9"}\n'),
    want: undefined,
  },
];
for (const row of rows) {
  test(`editing: ${row.name}`, () => {
    const edited = row.edit(row.text);
    if (row.want !== undefined) assert.equal(edited, row.want);
    assert.equal(typeof parse(edited), 'object');
  });
}

test('a patch keeps comments, order and references', () => {
  const edited = mergeText(FILE, 'log: {level: trace}\nstreams: {nursery: [rtsp://z]}\nrtsp: {listen: ":9"}\n');
  for (const piece of ['# my cameras', '# everybody', '# the porch', `\${PORCH_PW}`, '# tail', '# the log']) {
    assert.ok(edited.includes(piece), piece);
  }
  const value: unknown = parse(edited);
  assert.deepEqual(value, {
    api: { listen: ':1984' },
    streams: { porch: `rtsp://u:\${PORCH_PW}@192.0.2.9/s`, nursery: ['rtsp://z'] },
    log: { level: 'trace' },
    rtsp: { listen: ':9' },
  });
});

test('a file that is not valid YAML is not written into', () => {
  assert.throws(() => setEntry('streams: "a\n', 'streams', 'b', ['x']), /not valid YAML/);
  assert.throws(() => setEntry('- a\n', 'streams', 'b', ['x']), /not a map/);
  assert.throws(() => mergeText('a: 1\n', 'b: "'), /the patch is not valid YAML/);
});
