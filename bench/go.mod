module github.com/quorate-db/quorate/bench

go 1.26
