exec <&-
echo ready
exec sleep 1000 </dev/null
