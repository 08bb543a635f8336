module atoll.dev/rig/pause

go 1.24
