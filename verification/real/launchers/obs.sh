#!/usr/bin/env bash
# OBS Studio on a screen in memory, started again when it ends. obs-websocket has no setting for the address that it
# listens on: it asks for a password.
. "$SERVERS/_lib.sh"
need_deb obs obs-studio
need_deb xvfb-run xvfb
need_deb xauth xauth
fresh_run
SETTINGS="$RUN/.config/obs-studio"
mkdir -p "$SETTINGS/basic/profiles/Test" "$SETTINGS/basic/scenes"
cat > "$SETTINGS/global.ini" <<CONF
[General]
FirstRun=true
LastVersion=486539266
[Basic]
Profile=Test
ProfileDir=Test
SceneCollection=Test
SceneCollectionFile=Test
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
AlertsEnabled=false
AuthRequired=true
ServerPassword=example-password
ServerPort=$PORT
CONF
cat > "$SETTINGS/basic/profiles/Test/basic.ini" <<CONF
[General]
Name=Test
[Video]
BaseCX=320
BaseCY=240
OutputCX=320
OutputCY=240
FPSCommon=10
[Output]
Mode=Simple
[SimpleOutput]
FilePath=$RUN
CONF
cat > "$SETTINGS/basic/scenes/Test.json" <<CONF
{
  "name": "Test", "current_scene": "Main", "current_program_scene": "Main", "current_transition": "Cut",
  "scene_order": [{"name": "Main"}, {"name": "Break"}],
  "sources": [
    {"id": "ffmpeg_source", "name": "Tone", "settings": {}},
    {"id": "scene", "name": "Main", "settings": {"id_counter": 1, "items": [{"name": "Tone", "id": 1}]}},
    {"id": "scene", "name": "Break", "settings": {"items": []}}
  ]
}
CONF
export XDG_CONFIG_HOME="$RUN/.config" XDG_RUNTIME_DIR="$RUN" LIBGL_ALWAYS_SOFTWARE=1
spawn xvfb-run -a -s "-screen 0 640x480x24" bash -c 'while :; do obs --multi & echo $! > "$0"; wait $!; done' "$RUN/obs.pid"
wait_until 90 port_open
echo "VAR OBS_PASSWORD=example-password"
echo "VAR PID_FILE=$RUN/obs.pid"
ready /
