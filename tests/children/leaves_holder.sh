sleep 1000 &
echo "holder $!"
exit 3
