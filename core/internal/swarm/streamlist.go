// SPDX-License-Identifier: Apache-2.0 OR MIT

package swarm

// streamList is the list of a connection's open streams. It is linked through
// the streams themselves, so that opening one allocates nothing for it.
type streamList struct {
	head *Stream
	len  int
}

func (l *streamList) push(st *Stream) {
	st.next = l.head
	if l.head != nil {
		l.head.prev = st
	}
	l.head = st
	l.len++
}

// remove takes st out; nothing happens if it is not in the list.
func (l *streamList) remove(st *Stream) {
	if st.prev == nil && l.head != st {
		return
	}
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		l.head = st.next
	}
	if st.next != nil {
		st.next.prev = st.prev
	}
	st.prev, st.next = nil, nil
	l.len--
}

func (l *streamList) all() []*Stream {
	list := make([]*Stream, 0, l.len)
	for st := l.head; st != nil; st = st.next {
		list = append(list, st)
	}
	return list
}
