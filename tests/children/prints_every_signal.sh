for name in HUP INT QUIT USR1 USR2 TERM CONT WINCH ALRM; do
    trap "echo got $name" "$name"
done
echo ready
while :; do
    sleep 1000 &
    wait
    kill -KILL $! 2>/dev/null
done
