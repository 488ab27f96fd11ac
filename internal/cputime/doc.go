// Package cputime reads how long this process has been on processors: what a
// measurement counts where others use the machine too.
package cputime
