trap '' TERM HUP
sleep 1000 &
echo "holder $!"
exit 3
