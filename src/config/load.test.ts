import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { parseInput } from './inputs.ts';
import { loadConfig } from './load.ts';
import { formatProblem } from './problems.ts';
import { composeSections, unsupported } from './section.ts';
import { apiSection, camerasSection, coreSections, laterSections, logSection, streamsSection } from './sections.ts';
import { diffStreams, layOut } from './streams.ts';

const rtspSection = {
  key: 'rtsp',
  schema: z.object({
    listen: z.string().default(':8554'),
    username: z.string().default(''),
    password: z.string().default(''),
    default_query: z.string().default('video&audio'),
    pkt_size: z.number().default(0),
    gone: unsupported('because'),
  }),
};
const webrtcSection = { key: 'webrtc', schema: z.looseObject({ candidates: z.array(z.string()).nullish() }) };
const sections = composeSections([...coreSections, rtspSection, webrtcSection], laterSections);

function load(files: Record<string, string>, inputs: string[] = Object.keys(files), env: Record<string, string> = {}) {
  return loadConfig({
    inputs: inputs.map((input) => parseInput(input, '/nowhere')),
    sections,
    references: {
      env,
      credentialsDirectory: '/creds',
      readFile: (path) => {
        const text = files[path];
        if (text === undefined) throw new Error(`no such file ${path}`);
        return text;
      },
    },
    readFile: (path) => files[path.replace('/nowhere/', '')],
  });
}

const lines = (config: ReturnType<typeof load>): string[] => config.problems.map(formatProblem);

test('a configuration that is not there gives the defaults', () => {
  const config = load({}, []);
  assert.deepEqual(lines(config), []);
  assert.equal(config.get(apiSection).listen, '127.0.0.1:1984');
  assert.equal(config.get(apiSection).version, '1.9.15');
  assert.equal(config.get(rtspSection).listen, ':8554');
  assert.deepEqual(config.get(streamsSection), {});
});

test("go2rtc's documented file works unchanged and gives one warning for each key without effect", () => {
  const config = load({
    'go2rtc.yaml': `
app: {modules: []}
api:
  listen: ":1984"
  username: ""
  password: ""
  local_auth: false
  base_path: ""
  static_dir: ""
  origin: ""
  tls_listen: ""
  tls_cert: ""
  tls_key: ""
  unix_listen: ""
  allow_paths: []
rtsp: {listen: ":8554", username: "", password: "", default_query: "video&audio", pkt_size: 0}
rtmp: {listen: ""}
srtp: {listen: ":8443"}
ffmpeg: {bin: ffmpeg, global: "-hide_banner", timeout: 5, h264: "..."}
log: {level: info, format: "", output: stdout, time: UNIXMS, api: debug, rtsp: warn}
streams:
  a: rtsp://h/1
  b: [rtsp://h/2, "ffmpeg:b#audio=opus"]
  c: {url: rtsp://h/3}
  d:
publish: {a: [rtmp://h/live]}
preload: {a: "video&audio", b: }
env: {CAM_PASS: secret}
exec: {allow_paths: []}
echo: {allow_paths: []}
hass: {config: /config}
homekit: {a: {pin: 19550224, name: "", device_id: "", device_private: "", category_id: "", pairings: []}}
webtorrent: {trackers: [], shares: {s: {pwd: "", src: ""}}}
ngrok: {command: ""}
pinggy: {tunnel: ""}
wyoming: {a: {listen: "", name: "", mode: "", event: {}, wake_uri: "", vad_threshold: 0}}
`,
  });
  assert.equal(config.fatal, false);
  assert.deepEqual(
    config.problems.map((problem) => [problem.severity, problem.path.join('.')]),
    [
      'rtmp.listen',
      'srtp.listen',
      'ffmpeg.bin',
      'ffmpeg.global',
      'ffmpeg.timeout',
      'publish',
      'hass.config',
      'homekit',
      'webtorrent',
      'ngrok.command',
      'pinggy.tunnel',
      'wyoming',
    ].map((name) => ['warning', name]),
  );
  assert.ok(config.problems.every((problem) => problem.line > 0 && problem.message.includes(problem.path.join('.'))));
  const { streams } = layOut(config.get(streamsSection), config.get(camerasSection));
  assert.deepEqual(streams, {
    a: ['rtsp://h/1'],
    b: ['rtsp://h/2', 'ffmpeg:b#audio=opus'],
    c: ['rtsp://h/3'],
    d: [],
  });
});

const problemRows = [
  {
    name: 'a misspelt section gets a suggestion',
    yaml: 'streems:\n  a: rtsp://h/1\n',
    want: ['f:1:1: warning: unknown key "streems" (did you mean "streams"?)'],
  },
  {
    name: 'a misspelt key gets a suggestion',
    yaml: 'api:\n  listn: ":1984"\n',
    want: ['f:2:3: warning: unknown key "api.listn" (did you mean "listen"?)'],
  },
  {
    name: 'a key that is near to nothing gets none',
    yaml: 'api:\n  quux: 1\n',
    want: ['f:2:3: warning: unknown key "api.quux"'],
  },
  {
    name: 'also in a section that takes any key',
    yaml: 'webrtc:\n  candidate: [a]\n',
    want: ['f:2:3: warning: unknown key "webrtc.candidate" (did you mean "candidates"?)'],
  },
  { name: 'a key for YAML anchors is nobody’s business', yaml: 'x-common: {a: 1}\n', want: [] },
  {
    name: 'a value of the wrong kind is shown with its place',
    yaml: 'api:\n  origin: [a]\n',
    want: ['f:2:11: error: api.origin must be a text'],
  },
  {
    name: 'a level that does not exist is answered with those that do',
    yaml: 'log:\n  level: inof\n',
    want: [
      'f:2:10: error: log.level must be one of trace, debug, info, warn, error, fatal, panic, disabled (did you mean "info"?)',
    ],
  },
  {
    name: 'a camera without a main stream says so',
    yaml: 'cameras:\n  nursery:\n    sub: rtsp://h/2\n',
    want: ['f:2:3: error: cameras.nursery.main is missing'],
  },
  {
    name: 'a misspelt variant of a camera gets a suggestion',
    yaml: 'cameras:\n  nursery:\n    main: rtsp://h/1\n    sbu: rtsp://h/2\n',
    want: ['f:4:5: warning: unknown key "cameras.nursery.sbu" (did you mean "sub"?)'],
  },
  {
    name: 'a list inside a list of sources',
    yaml: 'streams:\n  a:\n    - [x]\n  b: rtsp://h/1\n',
    want: ['f:3:7: error: streams.a.0 must be a text'],
  },
  {
    name: 'a quote that is not closed',
    yaml: 'streams:\n  a: "rtsp://h\n',
    want: ['f:3:1: error: a quote is opened above and not closed'],
  },
  {
    name: 'a bracket that is not closed',
    yaml: 'streams: {a: rtsp://h\n',
    want: ['f:2:1: error: a [ or { is opened above and not closed'],
  },
  {
    name: 'a line without a colon is one problem',
    yaml: 'streams:\n  a: rtsp://h\n  b rtsp://h\n',
    want: ['f:3:3: error: this line has no ": " between name and value'],
  },
  {
    name: 'a header in a source wants quotes',
    yaml: 'streams:\n  a: http://h/x#header=X-A: b\n',
    want: [
      'f:2:6: error: a ": " within a text: put the text in quotes, or let the next line begin in the column of its neighbours',
    ],
  },
  {
    name: 'a text with a special sign wants quotes',
    yaml: 'api:\n  password: @home\n',
    want: ['f:2:13: error: a text that begins with @ must be in quotes'],
  },
  {
    name: 'a name behind * that nothing has',
    yaml: 'streams:\n  a: *porch\n',
    want: ['f:2:6: error: *porch is used, but nothing above is marked &porch; a text with a * goes in quotes'],
  },
  {
    name: 'lines that begin in different columns',
    yaml: 'streams:\n  a: rtsp://h\n b: rtsp://h\n',
    want: ['f:3:1: error: wrong indentation: entries that belong together must begin in the same column'],
  },
  {
    name: 'a longer word than the one that is known',
    yaml: 'log:\n  level: warning\n',
    want: [
      'f:2:10: error: log.level must be one of trace, debug, info, warn, error, fatal, panic, disabled (did you mean "warn"?)',
    ],
  },
  {
    name: 'tabs',
    yaml: 'streams:\n\ta: b\n',
    want: ['f:2:1: error: a tab is used for indentation: YAML wants spaces'],
  },
  {
    name: 'the same stream twice',
    yaml: 'streams:\n  a: x://1\n  a: x://2\n',
    want: ['f:3:3: error: this key stands here twice: join the two entries'],
  },
  { name: 'a list at the top', yaml: '- a\n', want: ['f:1:1: error: the top level must be a map such as "streams:"'] },
  { name: 'sections that are empty', yaml: 'streams:\napi:\nrtsp:\n  username:\n', want: [] },
];
for (const row of problemRows) {
  test(`problems: ${row.name}`, () => assert.deepEqual(lines(load({ f: row.yaml })), row.want));
}

test('one wrong stream does not keep the others from running', () => {
  const config = load({ f: 'streams:\n  a: {src: 1}\n  b: rtsp://h/1\n' });
  assert.equal(config.fatal, false);
  assert.deepEqual(Object.keys(config.get(streamsSection)), ['b']);
  assert.equal(config.problems[0]?.severity, 'error');
});

test('numbers and yes/no are taken as the owner means them', () => {
  const config = load({
    f: 'api: {username: 0123, password: 1e5, local_auth: yes, allow_paths: /api}\nrtsp: {pkt_size: "1200"}\n',
  });
  assert.deepEqual(lines(config), []);
  const api = config.get(apiSection);
  assert.deepEqual([api.username, api.password, api.local_auth, api.allow_paths], ['0123', '1e5', true, ['/api']]);
  assert.equal(config.get(rtspSection).pkt_size, 1200);
});

test('later -c values override earlier ones: maps merge, lists replace, empty sections remove nothing', () => {
  const config = load(
    {
      one: 'api: {listen: ":1", allow_paths: [/a, /b]}\nstreams: {a: rtsp://h/1, b: rtsp://h/2}\n',
      two: 'api: {allow_paths: [/c]}\nstreams:\n  b: rtsp://h/3\nlog:\n',
    },
    ['one', 'two', '{api: {username: u}}', '{"rtsp": {"listen": ":9"}}', 'log.level=debug', 'streams.c=rtsp://h/x=1'],
  );
  assert.deepEqual(lines(config), []);
  const api = config.get(apiSection);
  assert.deepEqual([api.listen, api.allow_paths, api.username], [':1', ['/c'], 'u']);
  assert.equal(config.get(logSection).level, 'debug');
  assert.equal(config.get(rtspSection).listen, ':9');
  assert.deepEqual(config.get(streamsSection), { a: 'rtsp://h/1', b: 'rtsp://h/3', c: 'rtsp://h/x=1' });
});

test('references: env: map, credentials, environment, default, in this order', () => {
  const config = load(
    {
      f: `env: {A: from-map}
streams:
  a: rtsp://u:\${A}@h
  b: rtsp://u:\${B}@h
  c: rtsp://u:\${C}@h
  d: rtsp://u:\${D:pass word}@h
  e: {url: rtsp://u:\${C}@h}
  f: rtsp://u:\${file:/run/secrets/x}@h
`,
      '/creds/A': 'wrong',
      '/creds/B': 'from-credentials\n',
      '/run/secrets/x': 'from-file\n',
    },
    ['f'],
    { A: 'wrong', B: 'wrong', C: 'from: env # and "more"', D: '' },
  );
  assert.deepEqual(lines(config), []);
  assert.deepEqual(config.get(streamsSection), {
    a: 'rtsp://u:from-map@h',
    b: 'rtsp://u:from-credentials@h',
    c: 'rtsp://u:from: env # and "more"@h',
    d: 'rtsp://u:@h',
    e: { url: 'rtsp://u:from: env # and "more"@h' },
    f: 'rtsp://u:from-file@h',
  });
  assert.ok(['from-map', 'from-credentials', 'from-file'].every((value) => config.secrets.includes(value)));
});

test('a reference without a value stays as it is, with a warning at its place; one in a comment gives none', () => {
  const config = load({ f: `# \${NOT_HERE}\nstreams:\n  a: rtsp://u:\${NOPE}@h\n` });
  assert.equal(config.get(streamsSection)['a'], `rtsp://u:\${NOPE}@h`);
  assert.deepEqual(lines(config), [
    `f:3:6: warning: \${NOPE} is left as it is: "NOPE" is neither in env: nor in the environment`,
  ]);
});

test('a reference may give a number, a truth value or a list, and a password stays a text', () => {
  const config = load({ f: `api:\n  local_auth: \${B}\n  allow_paths: \${L}\n  password: \${P}\n` }, ['f'], {
    B: 'true',
    L: '[/api, /x]',
    P: '{007}',
  });
  assert.deepEqual(lines(config), []);
  const api = config.get(apiSection);
  assert.deepEqual([api.local_auth, api.allow_paths, api.password], [true, ['/api', '/x'], '{007}']);
});

test('key=value on the command line gives a text, a truth value, a list or a map', () => {
  const values = ['api.local_auth=true', 'rtsp.listen=:8554', 'webrtc.ice_servers=[]', 'streams.a={url: "rtsp://h"}'];
  const texts = values.map((value) => parseInput(value, '/'));
  assert.deepEqual(
    texts.map((input) => (input.kind === 'text' ? input.text : input.path)),
    [
      '{"api":{"local_auth":true}}',
      '{"rtsp":{"listen":":8554"}}',
      '{"webrtc":{"ice_servers":[]}}',
      '{"streams":{"a":{"url":"rtsp://h"}}}',
    ],
  );
});

test('inline values are not searched for references', () => {
  const config = load({}, [`{streams: {a: "rtsp://\${X}"}}`], { X: 'no' });
  assert.deepEqual(config.get(streamsSection), { a: `rtsp://\${X}` });
});

test('cameras make streams and groups; a clash with streams: is told', () => {
  const layout = layOut(
    { porch: 'rtsp://h/0', nursery_sub: 'rtsp://h/9' },
    { nursery: { main: ['rtsp://h/1', 'rtsp://h/a'], sub: 'rtsp://h/2' }, yard: 'rtsp://h/3' },
  );
  assert.deepEqual(layout.streams, {
    porch: ['rtsp://h/0'],
    nursery_sub: ['rtsp://h/2'],
    nursery: ['rtsp://h/1', 'rtsp://h/a'],
    yard: ['rtsp://h/3'],
  });
  assert.deepEqual(layout.cameras, { nursery: ['nursery', 'nursery_sub'], yard: ['yard'] });
  assert.deepEqual(layout.clashes, [{ stream: 'nursery_sub', camera: 'nursery' }]);
});

test('only streams whose sources changed are reported', () => {
  assert.deepEqual(diffStreams({ a: ['1'], b: ['2'], c: ['3'] }, { a: ['1'], b: ['2', '4'], d: [] }), {
    set: { b: ['2', '4'], d: [] },
    removed: ['c'],
  });
});

const bombs = {
  aliases: `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghij'
    .split('')
    .map((name, index) => `${name}: &${name} [${`*${'abcdefghij'[index]},`.repeat(9)}]`)
    .join('\n')}\n`,
  brackets: '['.repeat(500_000),
  'deep maps': 'a: '.repeat(100_000),
  dashes: '- '.repeat(100_000),
  'an alias to itself': 'a: &a [*a]\nstreams: &s {x: *s}\n',
  size: `a: "${'x'.repeat(3 * 1024 * 1024)}"`,
  indentation: Array.from({ length: 1500 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
  quotes: '"'.repeat(200_000),
  braces: '{a: '.repeat(50_000),
};
for (const [name, yaml] of Object.entries(bombs)) {
  test(`a bomb made of ${name} is refused in little time`, () => {
    const started = performance.now();
    const config = load({ f: yaml });
    assert.ok(config.problems.some((problem) => problem.severity === 'error'));
    assert.ok(performance.now() - started < 3_000, `${performance.now() - started} ms`);
  });
}
