# `wait` ends at once when a trap runs; a foreground sleep would delay it
trap 'echo trapped; exit 7' TERM
echo ready
sleep 1000 &
wait
