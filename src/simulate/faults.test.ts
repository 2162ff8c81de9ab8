import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RtspMessage } from '../wire/rtsp/message.ts';
import { RtspParser } from '../wire/rtsp/parser.ts';
import { changeMessage, lossDice, PacketTamper } from './faults.ts';

const SDP = [
  'v=0',
  'm=video 0 RTP/AVP 96',
  'a=rtpmap:96 H264/90000',
  'a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHw==,aM4=;profile-level-id=42c01f',
  'm=video 0 RTP/AVP 98',
  'a=rtpmap:98 H265/90000',
  'a=fmtp:98 sprop-vps=QAE=; sprop-sps=QgE=; sprop-pps=RAE=',
  'm=audio 0 RTP/AVP 97',
  'a=rtpmap:97 MPEG4-GENERIC/16000/1',
  '',
].join('\r\n');

function rtp(type: number, sequence: number, ticks: number, payload: readonly number[]): Buffer {
  const packet = Buffer.alloc(12 + payload.length);
  packet[0] = 0x80;
  packet[1] = type;
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE(ticks, 4);
  packet.set(payload, 12);
  return packet;
}

function tamper(paramSets: 'sdp' | 'inband' | 'both'): PacketTamper {
  const made = new PacketTamper(paramSets);
  made.learnSdp(SDP);
  return made;
}

test('with parameter sets in the SDP only, those in the stream are taken out without a gap', () => {
  const changer = tamper('sdp');
  const rows: readonly [name: string, type: number, payload: readonly number[], kept: boolean][] = [
    ['SPS', 96, [0x67, 1], false],
    ['PPS', 96, [0x68, 1], false],
    ['IDR', 96, [0x65, 1], true],
    ['SPS and PPS as STAP-A', 96, [24, 0, 2, 0x67, 1, 0, 1, 0x68], false],
    ['PPS and IDR as STAP-A', 96, [24, 0, 1, 0x68, 0, 1, 0x65], true],
    ['FU-A', 96, [28, 0x85, 7, 8], true],
  ];
  const sequences: number[] = [];
  for (const [index, [name, type, payload, kept]] of rows.entries()) {
    const packet = rtp(type, 65_533 + index, 0, payload);
    assert.equal(changer.change(0, packet, 0), kept, name);
    if (kept) sequences.push(packet.readUInt16BE(2));
  }
  assert.deepEqual(sequences, [65_533, 65_534, 65_535]);
  assert.equal(changer.change(2, rtp(98, 1, 0, [0x40, 1]), 0), false, 'VPS of H.265');
  assert.equal(changer.change(2, rtp(98, 2, 0, [0x26, 1]), 0), true, 'IDR of H.265');
  assert.equal(tamper('both').change(0, rtp(96, 1, 0, [0x67, 1]), 0), true);
});

test('a jump moves the time stamps of packets and sender reports by the clock of each track', () => {
  const changer = tamper('both');
  const video = rtp(96, 1, 1000, [0x65]);
  const audio = rtp(97, 1, 0xffff_ff00, [0]);
  changer.change(0, video, 10);
  changer.change(2, audio, 10);
  assert.equal(video.readUInt32BE(4), 901_000);
  assert.equal(audio.readUInt32BE(4), (0xffff_ff00 + 160_000) % 2 ** 32);
  const report = Buffer.alloc(28);
  report[0] = 0x80;
  report[1] = 200;
  report.writeUInt32BE(500, 16);
  changer.change(3, report, -0.01);
  assert.equal(report.readUInt32BE(16), 340);
});

test('so many packets are lost as were asked for, the same ones each time', () => {
  const count = (percent: number): number => {
    const lost = lossDice(percent);
    return Array.from({ length: 10_000 }, () => lost()).filter(Boolean).length;
  };
  assert.equal(count(0), 0);
  assert.equal(count(100), 10_000);
  assert.ok(Math.abs(count(5) - 500) < 100, `${count(5)} of 10000 at 5 %`);
  assert.equal(count(5), count(5));
});

function reparse(bytes: Buffer): RtspMessage {
  const seen: RtspMessage[] = [];
  new RtspParser({ onMessage: (message) => seen.push(message), onInterleaved: () => {} }).push(bytes);
  assert.equal(seen.length, 1);
  const [message] = seen;
  assert.ok(message !== undefined);
  return message;
}

test('with parameter sets in band only, the SDP has none, and its length is right', () => {
  const head = `RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: ${SDP.length}\r\n\r\n`;
  const message = reparse(Buffer.from(head + SDP));
  const changed = reparse(changeMessage(message, 'inband'));
  const text = changed.body.toString();
  assert.doesNotMatch(text, /sprop/);
  assert.match(text, /a=fmtp:96 packetization-mode=1;profile-level-id=42c01f\r\n/);
  assert.match(text, /a=fmtp:98\s*\r\n/);
  assert.equal(changed.cseq, 2);
  const same = reparse(changeMessage(message, 'both'));
  assert.equal(same.body.toString(), SDP);
});
