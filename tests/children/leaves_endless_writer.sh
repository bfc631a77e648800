yes descendant &
echo "own output of the leader"
exit 3
