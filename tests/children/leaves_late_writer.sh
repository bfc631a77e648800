(
    until [ -e "$1" ]; do sleep 0.02; done
    echo late
) &
echo own
exit 3
