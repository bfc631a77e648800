printf '\342'; sleep 0.05
printf '\202'; sleep 0.05
printf '\254'; sleep 0.05
printf '\360\237'; sleep 0.05
printf '\220\215'
