import { z } from 'zod';
import { type ConfigSection, unsupported } from './section.ts';
import { renditionsSchema, transcodeMode, transcodeSchema } from './transcode.ts';

/** The sections of the program itself. Outputs bring theirs along; compatibility.md 4 lists go2rtc's. */

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic', 'disabled'] as const;

export const appSection = section(
  'app',
  z.object({
    modules: z
      .array(z.string())
      .default([])
      .describe('Names of the modules to start (go2rtc names), for example [api, rtsp, webrtc]; empty = all.'),
  }),
);

export const apiSection = section(
  'api',
  z.object({
    listen: z
      .string()
      .default('127.0.0.1:1984')
      .describe('Address of web page and API: ":1984" = every address, "" = off. This machine only unless set.'),
    username: z.string().default('').describe('User name for HTTP Basic; empty = nobody is asked.'),
    password: z.string().default('').describe('Password for HTTP Basic.'),
    local_auth: z.boolean().default(false).describe('Ask programs on this machine for the password too.'),
    base_path: z.string().default('').describe('Prefix of all paths behind a reverse proxy, for example "/rtc".'),
    static_dir: z.string().default('').describe('Folder with web pages that replace the built-in ones.'),
    origin: z.string().default('').describe('"*" lets web pages of any other origin use the API.'),
    tls_listen: z.string().default('').describe('Address for HTTPS, for example ":1443".'),
    tls_cert: z.string().default('').describe('Certificate: a file name or PEM text.'),
    tls_key: z.string().default('').describe('Private key: a file name or PEM text.'),
    unix_listen: z.string().default('').describe('Path of a unix socket to listen on as well.'),
    allow_paths: z.array(z.string()).default([]).describe('Only these exact paths exist; empty = all.'),
    hosts: z
      .array(z.string())
      .default([])
      .describe('Host names, besides those of a home network, under which this server is reached without a password.'),
    version: z
      .string()
      .default('1.9.15')
      .describe('go2rtc version to report: Home Assistant refuses versions that it does not know.'),
    mask_secrets: z
      .boolean()
      .default(true)
      .describe('Show passwords in /api/streams as ***; false shows them as configured.'),
  }),
);

export const transcodeSection = section('transcode', transcodeSchema);

const ownMode = transcodeMode.optional().describe('Instead of the general transcode:.');
/** What a stream or camera may say besides its sources: wrong, it is left out, and the picture stays. */
const DETAILS = ['transcode', 'renditions'] as const;

const sources = z.union([
  z.string(),
  z.array(z.string()),
  z.object({
    url: z.union([z.string(), z.array(z.string()), z.null()]).describe('Source, or several; nothing: publish to it.'),
    transcode: ownMode,
    renditions: renditionsSchema.optional(),
  }),
  z.null(),
]);

export const streamsSection = section(
  'streams',
  z
    .record(z.string(), sources.describe('A source, several (the first gives the picture), or nothing: publish to it.'))
    .default({})
    .describe('Streams by name.'),
  true,
  DETAILS,
);

export const CAMERA_VARIANTS = ['main', 'ext', 'sub'] as const;

const cameraSources = z.union([z.string(), z.array(z.string())]);

export const camerasSection = section(
  'cameras',
  z
    .record(
      z.string(),
      z.union([
        z.string(),
        z.object({
          main: cameraSources.describe('The best picture; becomes the stream "<name>".'),
          ext: cameraSources.optional().describe('A middle one; becomes the stream "<name>_ext".'),
          sub: cameraSources.optional().describe('The small picture; becomes the stream "<name>_sub".'),
          transcode: ownMode,
          renditions: renditionsSchema.optional(),
        }),
      ]),
    )
    .default({})
    .describe('Cameras by name, each with its main and perhaps its sub stream.'),
  true,
  DETAILS,
);

export const preloadSection = section(
  'preload',
  z
    .record(z.string(), z.union([z.string(), z.null()]).describe('Tracks to hold, default "video&audio".'))
    .default({})
    .describe('Streams whose camera is kept connected without a viewer.'),
  true,
);

export const logSection = section(
  'log',
  z
    .object({
      level: z.enum(LEVELS).default('info').describe('Least level that is written.'),
      format: z.enum(['', 'color', 'json', 'text']).default('').describe('Empty: color on a terminal, else text.'),
      output: z
        .string()
        .default('stdout')
        .describe('stdout, stderr, "file:<path>", or "" to write nothing (/api/log still has the lines).'),
      time: z.string().default('UNIXMS').describe('Read for compatibility; JSON lines carry Unix milliseconds.'),
    })
    .catchall(z.enum(LEVELS).describe('Level of one module, for example rtsp: debug.')),
);

const envSection = section(
  'env',
  z
    .record(z.string(), z.string())
    .default({})
    .describe('Values for references by name in this file; masked wherever they show up.'),
);

export const dataSection = section(
  'data',
  z.object({
    dir: z
      .string()
      .default('')
      .describe(
        'Folder for what must outlive the program: events, clips, messages that wait for a broker. Empty: the state ' +
          'folder of systemd, else "hearthcam-data" beside this file.',
      ),
  }),
);

export const modelsSection = section(
  'models',
  z.object({
    dir: z
      .string()
      .default('')
      .describe('Folder of the model that listens; it is downloaded into it once. Empty: "models" in the data folder.'),
  }),
);

export const restreamSection = section(
  'restream',
  z.object({
    linger_seconds: z.number().min(0).max(3600).default(5).describe('A camera stays connected after its last viewer.'),
    stall_seconds: z
      .number()
      .min(1)
      .max(300)
      .default(5)
      .describe('A camera that sends nothing for so long is redialled.'),
    connect_seconds: z.number().min(1).max(120).default(10).describe('Limit for connecting to a camera.'),
    start_buffer_mib: z
      .number()
      .min(1)
      .max(256)
      .default(16)
      .describe('Kept per camera since its last key frame, so that a new viewer sees a picture at once.'),
  }),
);

const allowPaths = (kind: string) =>
  z.object({
    allow_paths: z
      .array(z.string())
      .optional()
      .describe(`The only programs that "${kind}:" sources may run, as their commands name them; absent = all.`),
  });

export const execSection = section('exec', allowPaths('exec'));
export const echoSection = section('echo', allowPaths('echo'));

const nothingRun = unsupported('The ffmpeg program is not run: its libraries are used.');
const inputDone = unsupported('How inputs are opened is fixed: #timeout and #transport of a source change it.');

/** Keys that go2rtc has beside the arguments of its codecs. */
const ffmpegSettings = {
  bin: nothingRun,
  global: nothingRun,
  timeout: inputDone,
  file: inputDone,
  http: inputDone,
  rtsp: inputDone,
  'rtsp/udp': inputDone,
  output: nothingRun,
  'output/mjpeg': nothingRun,
  'output/raw': nothingRun,
  'output/aac': nothingRun,
  'output/wav': nothingRun,
};

export const ffmpegSection = section(
  'ffmpeg',
  z
    .object(ffmpegSettings)
    .catchall(
      z
        .string()
        .describe(
          'Arguments of the ffmpeg program that #video=<name>, #audio=<name> or #input=<name> stands for, for example ' +
            '"-c:v libx264 -b:v 1M -g 50". A source whose arguments can not be done here is refused with the reason.',
        ),
    ),
);

/** The arguments by name. */
export function ffmpegTemplates(section: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const own = Object.entries(section).filter(([key]) => !Object.hasOwn(ffmpegSettings, key));
  return Object.fromEntries(own.flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])));
}

/** Sections that the program itself reads. */
export const coreSections = [
  appSection,
  apiSection,
  streamsSection,
  camerasSection,
  preloadSection,
  logSection,
  envSection,
  dataSection,
  modelsSection,
  restreamSection,
  transcodeSection,
  execSection,
  echoSection,
  ffmpegSection,
] as const;

const listenOff = z.object({ listen: unsupported('This listener does not exist here yet.') }).optional();

/** Sections of go2rtc that no module here handles: read and named in a warning. A module's own section goes first. */
export const laterSections: readonly ConfigSection[] = [
  section('rtmp', listenOff),
  section('srtp', listenOff),
  section('publish', unsupported('Sending streams to other servers (RTMP, RTSP) is not offered yet.')),
  section('hass', z.object({ config: unsupported('Cameras are not read from Home Assistant.') }).optional()),
  section('homekit', unsupported('HomeKit is not offered yet.')),
  section('webtorrent', unsupported('Sharing through WebTorrent is not offered.')),
  section('ngrok', z.object({ command: unsupported('ngrok is not started.') }).optional()),
  section('pinggy', z.object({ tunnel: unsupported('pinggy is not started.') }).optional()),
  section('wyoming', unsupported('Wyoming satellites are not offered yet.')),
];

function section<T>(
  key: string,
  schema: z.ZodType<T>,
  perEntry = false,
  details: readonly string[] = [],
): ConfigSection<T> {
  return { key, schema, perEntry, details };
}
