trap '' TERM HUP INT
for n in 1 2 3 4; do
    sh -c 'while :; do sleep 1; done' &
done
echo ready
wait
