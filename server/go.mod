module github.com/quorate-db/quorate/server

go 1.26

require github.com/quorate-db/quorate v0.0.0

replace github.com/quorate-db/quorate => ../
