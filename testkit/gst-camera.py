#!/usr/bin/python3
"""A real RTSP camera for tests: gst-rtsp-server with a live test picture and tone.

One argument: a JSON object with the keys of GstCameraOptions (gst-camera.ts). Prints {"port": N} when it listens,
and ends when its standard input is closed, so that it never outlives the test that started it.
"""
import json
import sys
import warnings

warnings.filterwarnings("ignore")
import gi  # noqa: E402

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

VIDEO = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bframes=0 bitrate={kbps}"
    " ! video/x-h264,profile=constrained-baseline ! h264parse config-interval={interval}"
    " ! rtph264pay name=pay{n} pt=96 aggregate-mode=zero-latency config-interval={interval}",
    # x265 without any lookahead, frame threads or B-pictures: the cheapest it can do.
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate={kbps}"
    " option-string=pools=1:frame-threads=1:bframes=0:log-level=none"
    " ! h265parse config-interval={interval} ! rtph265pay name=pay{n} pt=96 config-interval={interval}",
    "mjpeg": "jpegenc quality=60 ! rtpjpegpay name=pay{n} pt=26",
    "vp8": "vp8enc deadline=1 cpu-used=8 keyframe-max-dist={gop} target-bitrate={bps} ! rtpvp8pay name=pay{n} pt=96",
}
AUDIO = {
    "aac": "audio/x-raw,rate={rate},channels=1 ! avenc_aac bitrate=64000 ! aacparse ! rtpmp4gpay name=pay{n} pt=97",
    "latm": "audio/x-raw,rate={rate},channels=1 ! avenc_aac bitrate=64000 ! aacparse ! rtpmp4apay name=pay{n} pt=97",
    "pcma": "audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay{n} pt=8",
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay{n} pt=0",
    "l16": "audio/x-raw,rate={rate},channels=1 ! rtpL16pay name=pay{n} pt=97",
    "opus": "audio/x-raw,rate=48000,channels=2 ! opusenc bitrate=32000 ! rtpopuspay name=pay{n} pt=97",
}


# What is heard by the back channel of ONVIF goes into a file, as samples.
TALK = {
    "pcma": ("payload=8, clock-rate=8000, encoding-name=PCMA", "rtppcmadepay"),
    "pcmu": ("payload=0, clock-rate=8000, encoding-name=PCMU", "rtppcmudepay"),
}


def talk_pipeline(options):
    caps, depay = TALK[options["talk"]]
    return (
        '( capsfilter caps="application/x-rtp, media=audio, {caps}" name=depay_backchannel ! {depay} !'
        " filesink location={file} buffer-mode=unbuffered append=true async=false )"
    ).format(caps=caps, depay=depay, file=options["talkFile"])


def pipeline(options):
    video, audio = options.get("video"), options.get("audio")
    parts, n = [], 0
    # With a back channel, live sources run into the void before SETUP and end the media with an error.
    live = "false" if options.get("talk") else "true"
    fps, gop, kbps = options["fps"], options["gopFrames"], options["kbps"]
    if video:
        source = (
            "videotestsrc is-live={live} pattern={pattern} ! "
            "video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! "
        ).format(live=live, **options)
        interval = -1 if options["inBandParameterSets"] else 0
        parts.append(source + VIDEO[video].format(n=n, gop=gop, kbps=kbps, bps=kbps * 1000, interval=interval, fps=fps))
        n += 1
    if audio:
        source = f"audiotestsrc is-live={live} wave=sine freq=440 volume=0.3 ! audioconvert ! audioresample ! "
        parts.append(source + AUDIO[audio].format(n=n, rate=options["audioRateHz"]))
    return "( " + " ".join(parts) + " )"


def main():
    options = json.loads(sys.argv[1])
    Gst.init(None)
    loop = GLib.MainLoop()
    talks = bool(options.get("talk"))
    server = GstRtspServer.RTSPOnvifServer() if talks else GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options["port"]))
    factory = GstRtspServer.RTSPOnvifMediaFactory() if talks else GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline(options))
    if talks:
        factory.set_backchannel_launch(talk_pipeline(options))
        factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia.__gtype__)
    else:
        factory.set_shared(True)
    if options["transport"] == "tcp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    elif options["transport"] == "udp":
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)

    if options.get("user"):
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        user, password = options["user"], options["password"]
        if options["digest"]:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(user, password, token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)

    server.get_mount_points().add_factory(options["path"], factory)
    if server.attach(None) == 0:
        print("cannot listen", file=sys.stderr)
        return 1

    # A plain watch on the descriptor: standard input carries nothing, it only closes.
    def closed(fd, condition):
        loop.quit()
        return False

    conditions = GLib.IOCondition.HUP | GLib.IOCondition.ERR | GLib.IOCondition.IN
    GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, sys.stdin.fileno(), conditions, closed)
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    loop.run()
    return 0


sys.exit(main())
