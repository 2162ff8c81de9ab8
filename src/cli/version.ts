/** Kept equal to package.json by a test: reading that file would cost time at each start. */
export const VERSION = '0.1.0';

/** What go2rtc's clients look for (compatibility.md 5.1, 5.2). */
const GO2RTC_VERSION = '1.9.15';

/** Go's names, since go2rtc prints them. */
export function platformName(platform: string, arch: string): string {
  const archs: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' };
  return `${platform === 'win32' ? 'windows' : platform}/${archs[arch] ?? arch}`;
}

/** The WebRTC card takes a program for go2rtc when this begins with `go2rtc` (compatibility.md 5.2). */
export function versionLine(platform: string, arch: string): string {
  return `go2rtc version ${GO2RTC_VERSION} (hearthcam ${VERSION}) ${platformName(platform, arch)}`;
}
