#!/bin/sh
# A task for the double's tests: says what it was given, and then does what its arguments say.
echo "name=$0"
for argument in "$@"; do echo "argument=$argument"; done
env | sed 's/^/environment /'
echo "to standard error" >&2
case $1 in
  exit) exit "$2" ;;
  wait) while :; do sleep 0.05; done ;;
  polite) trap 'echo terminated; exit 7' TERM; while :; do sleep 0.05; done ;;
  deaf) trap '' TERM; while :; do sleep 0.05; done ;;
  family) sh -c 'echo "child=$$"; while :; do sleep 0.05; done' & echo "$!" >&2; wait ;;
esac
