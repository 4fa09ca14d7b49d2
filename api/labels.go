package api

import (
	"maps"
	"slices"
)

// MaxLabels is how many bytes of labels are kept of a pod or a container, keys and values
// together. Whoever makes a pod or an image can give it a megabyte of them, which would be
// kept with every recording.
const MaxLabels = 16 << 10

// KeepLabels returns labels as far as they are kept: of more than MaxLabels those that fit,
// in the order of their keys. It does not change what it is given.
func KeepLabels(all map[string]string) map[string]string {
	n := 0
	for key, value := range all {
		n += len(key) + len(value)
	}
	if n <= MaxLabels {
		return all
	}
	kept := map[string]string{}
	n = 0
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if size := len(key) + len(all[key]); n+size <= MaxLabels {
			kept[key], n = all[key], n+size
		}
	}
	return kept
}
