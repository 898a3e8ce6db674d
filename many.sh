# n guests at once
for i in $(seq $1); do (timeout 280 python3 /tmp/exp/large.py 2000000 4000000 400000 2>&1 | grep -v "upload budget\|GETATTR") & done; wait
