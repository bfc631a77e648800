n=0
while [ "$n" -lt "$1" ]; do
    echo "out $n"
    echo "err $n" >&2
    n=$((n + 1))
done
