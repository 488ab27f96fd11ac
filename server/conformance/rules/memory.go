package main

import (
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory holds series by their labels. Prometheus' own storage would be built of five
// times as many packages.
type memory map[string]*promql.Series

// store adds a page as a Prometheus does that has it as a target of the job etcd.
func (m memory) store(s Scrape) error {
	up := 0.0
	if s.Page != "" {
		up = 1
	}
	m.add(labels.FromStrings("__name__", "up"), s, up)
	for p := textparse.NewPromParser([]byte(s.Page), labels.NewSymbolTable(), false); ; {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry == textparse.EntrySeries {
			var of labels.Labels
			p.Labels(&of)
			_, _, value := p.Series()
			m.add(of, s, value)
		}
	}
}

func (m memory) add(of labels.Labels, from Scrape, value float64) {
	all := labels.NewBuilder(of).Set("job", "etcd").Set("instance", from.Instance).Labels()
	key := all.String()
	if m[key] == nil {
		m[key] = &promql.Series{Metric: all}
	}
	m[key].Floats = append(m[key].Floats, promql.FPoint{T: from.At, F: value})
}

// find selects the series that all matchers match. The engine looks at their times.
func (m memory) find(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var all found
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if s := m[key]; matches(s.Metric, matchers) {
			all.rest = append(all.rest, promql.NewStorageSeries(*s))
		}
	}
	return &all
}

func matches(of labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(of.Get(m.Name)) {
			return false
		}
	}
	return true
}

// found implements storage.SeriesSet.
type found struct {
	now  storage.Series
	rest []storage.Series
}

func (f *found) Next() bool {
	if len(f.rest) == 0 {
		return false
	}
	f.now, f.rest = f.rest[0], f.rest[1:]
	return true
}

func (f *found) At() storage.Series                { return f.now }
func (f *found) Err() error                        { return nil }
func (f *found) Warnings() annotations.Annotations { return nil }
