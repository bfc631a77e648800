echo ready
kill -STOP $$
echo woken
