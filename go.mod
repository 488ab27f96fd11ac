module github.com/quorate-db/quorate

go 1.26
