n=0
while :; do
    echo "line $n"
    n=$((n + 1))
done
